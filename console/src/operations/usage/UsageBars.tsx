// SPDX-License-Identifier: Apache-2.0
// A measure of usage as bars, one for each hour or day, or as a table.
import { useState } from 'react';

import { shortMomentText } from '../../api/time';
import { useNow } from '../moments/useNow';
import { useZone } from '../moments/zone';
import type { Bar, Measure } from './usage';
import { MEASURE_LABELS, measureText } from './usageText';

interface Props {
  bars: Bar[];
  measure: Measure;
  /** The client that the bars are for, or `all clients`, for people who do not see where the bars stand. */
  subject: string;
  /** Small ones stand in rows, without axes and table. */
  isSmall?: boolean;
}

/** In units of the drawing, which the page stretches. */
const CHART_HEIGHT = 100;
const STEP_WIDTH = 10;
const BAR_GAP = 2;
const MIN_BAR_HEIGHT = 2;

export function UsageBars({ bars, measure, subject, isSmall = false }: Props) {
  const max = Math.max(...bars.map(({ value }) => value), 0);
  const sum = bars.reduce((total, { value }) => total + value, 0);
  const label = `${MEASURE_LABELS[measure]} of ${subject}: ${measureText(measure, sum)} in all, at most ${measureText(measure, max)} in one step.`;
  const drawing = (
    <svg
      role="img"
      aria-label={label}
      className={isSmall ? 'bars bars-small' : 'bars'}
      viewBox={`0 0 ${bars.length * STEP_WIDTH} ${CHART_HEIGHT}`}
      preserveAspectRatio="none"
    >
      {bars.map(({ at, value }, index) => {
        const height = max === 0 ? 0 : (value / max) * CHART_HEIGHT;
        // A small value stays visible beside large ones.
        const barHeight = value > 0 ? Math.max(height, MIN_BAR_HEIGHT) : 0;
        return (
          <rect
            key={at}
            x={index * STEP_WIDTH + BAR_GAP / 2}
            y={CHART_HEIGHT - barHeight}
            width={STEP_WIDTH - BAR_GAP}
            height={barHeight}
          />
        );
      })}
    </svg>
  );
  return isSmall ? drawing : <BarsFigure bars={bars} measure={measure} max={max} drawing={drawing} />;
}

interface BarsFigureProps extends Pick<Props, 'bars' | 'measure'> {
  max: number;
  drawing: React.ReactNode;
}

function BarsFigure({ bars, measure, max, drawing }: BarsFigureProps) {
  const [isTable, setIsTable] = useState(false);
  const zone = useZone();
  const now = useNow();
  const first = bars[0];
  return (
    <figure className="usage-figure">
      <figcaption>
        <strong>{MEASURE_LABELS[measure]}</strong>
        <button type="button" className="tool" aria-pressed={isTable} onClick={() => setIsTable(!isTable)}>
          Table
        </button>
      </figcaption>
      {isTable ? (
        <BarTable bars={bars} measure={measure} />
      ) : (
        <>
          <div className="usage-axis">{measureText(measure, max)}</div>
          {drawing}
          <div className="usage-axis usage-times">
            <span>{first && shortMomentText(first.at, now, zone)}</span>
            <span>now</span>
          </div>
        </>
      )}
    </figure>
  );
}

function BarTable({ bars, measure }: Pick<Props, 'bars' | 'measure'>) {
  const zone = useZone();
  const now = useNow();
  return (
    // A scrollable region has to be reached by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="usage-table" role="region" aria-label={MEASURE_LABELS[measure]} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">{MEASURE_LABELS[measure]}</th>
          </tr>
        </thead>
        <tbody>
          {bars.map(({ at, value }) => (
            <tr key={at}>
              <td>{shortMomentText(at, now, zone)}</td>
              <td>{measureText(measure, value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
