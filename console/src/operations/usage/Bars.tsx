// SPDX-License-Identifier: Apache-2.0
// Bars of what is used, one for each hour or day, and the same as a table.
import { useState } from 'react';

import { shortMomentText } from '../../api/time';
import { useNow } from '../moments/useNow';
import { useZone } from '../moments/zone';
import type { Bar, Measure } from './usage';
import { MEASURE_LABELS, measureText } from './usageText';

interface Props {
  bars: Bar[];
  measure: Measure;
  /** The client, for people who do not see where the bars stand. */
  of: string;
  /** Small ones stand in rows, without axes and table. */
  isSmall?: boolean;
}

const HEIGHT = 100;
const WIDTH = 10;
const GAP = 2;

export function Bars({ bars, measure, of, isSmall = false }: Props) {
  const most = Math.max(...bars.map(({ value }) => value), 0);
  const sum = bars.reduce((total, { value }) => total + value, 0);
  const label = `${MEASURE_LABELS[measure]} of ${of}: ${measureText(measure, sum)} in all, at most ${measureText(measure, most)} in one step.`;
  const drawing = (
    <svg
      role="img"
      aria-label={label}
      className={isSmall ? 'bars bars-small' : 'bars'}
      viewBox={`0 0 ${bars.length * WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
    >
      {bars.map(({ at, value }, index) => {
        const height = most === 0 ? 0 : (value / most) * HEIGHT;
        // What is not nothing is seen.
        const shown = value > 0 ? Math.max(height, 2) : 0;
        return <rect key={at} x={index * WIDTH + GAP / 2} y={HEIGHT - shown} width={WIDTH - GAP} height={shown} />;
      })}
    </svg>
  );
  return isSmall ? drawing : <Framed bars={bars} measure={measure} most={most} drawing={drawing} />;
}

interface FramedProps extends Pick<Props, 'bars' | 'measure'> {
  most: number;
  drawing: React.ReactNode;
}

function Framed({ bars, measure, most, drawing }: FramedProps) {
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
        <UsageTable bars={bars} measure={measure} />
      ) : (
        <>
          <div className="usage-axis">{measureText(measure, most)}</div>
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

function UsageTable({ bars, measure }: Pick<Props, 'bars' | 'measure'>) {
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
