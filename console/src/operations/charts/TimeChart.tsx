// SPDX-License-Identifier: Apache-2.0
// Lines over time, drawn by uPlot; the running minute is dashed. The same values as a table.
import { useEffect, useMemo, useRef, useState } from 'react';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { momentText } from '../../api/time';
import { useTheme } from '../../shell/theme';
import { significant } from '../figures';
import { useZone } from '../moments/zone';
import { CHART_HEIGHT_PX, chartData, type ChartLine, chartOptions } from './plot';
import { chartSentence } from './series';

interface Props {
  title: string;
  unit: string;
  /** Moments of the values, in seconds. */
  times: number[];
  lines: ChartLine[];
  partial: boolean;
  /** Whether the values span magnitudes. */
  log?: boolean;
  /** Filled where the value is not 0, behind the lines. */
  band?: ChartLine;
}

export function TimeChart(props: Props) {
  const [asTable, setAsTable] = useState(false);
  const { title, unit, lines, band, times } = props;
  const shown = band ? [...lines, band] : lines;
  return (
    <figure className="chart-figure">
      <figcaption>
        <strong>{title}</strong> <span className="chart-unit">{unit}</span>
        <button type="button" className="tool" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
          Table<span className="visually-hidden"> of {title}</span>
        </button>
      </figcaption>
      {asTable ? <ValueTable title={title} times={times} lines={shown} /> : <Plot {...props} />}
      <ul className="chart-legend" aria-label="Legend">
        {shown.map((line) => (
          <li key={line.name}>
            <span aria-hidden="true" className={`chart-key chart-key-${line.style}`} />
            {line.name}
          </li>
        ))}
      </ul>
    </figure>
  );
}

function Plot({ title, times, lines, partial, log = false, band }: Props) {
  const container = useRef<HTMLDivElement>(null);
  const chart = useRef<UPlot | null>(null);
  const theme = useTheme();
  const zone = useZone();
  const data = useMemo(() => chartData({ times, lines, partial, log, band }), [times, lines, partial, log, band]);
  const styles = [...lines, ...(band ? [band] : [])].map(({ style }) => style).join(' ');
  useEffect(() => {
    const element = container.current;
    if (!element) return;
    const options = chartOptions({ width: element.clientWidth, theme, zone, log, styles: styles.split(' ') });
    const created = new UPlot(options, undefined, element);
    chart.current = created;
    const observer = new ResizeObserver(() => created.setSize({ width: element.clientWidth, height: CHART_HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.current = null;
      created.destroy();
    };
  }, [theme, zone, log, styles]);
  // The effect above may have created a new chart, which has no data yet.
  useEffect(() => chart.current?.setData(data), [data, theme, zone, log, styles]);
  const label = chartSentence(title, lines, times.length);
  return <div ref={container} role="img" aria-label={label} className="chart" />;
}

function ValueTable({ title, times, lines }: { title: string; times: number[]; lines: ChartLine[] }) {
  const zone = useZone();
  return (
    // A scrollable region has to be reached by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="scrolled chart-table" role="region" aria-label={title} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Minute</th>
            {lines.map(({ name }) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times
            .map((time, index) => (
              <tr key={time}>
                <th scope="row">{momentText(time * 1000, zone)}</th>
                {lines.map(({ name, values }) => (
                  <td key={name}>{valueText(values[index])}</td>
                ))}
              </tr>
            ))
            .toReversed()}
        </tbody>
      </table>
    </div>
  );
}

const valueText = (value: number | null | undefined): string => (value == null ? '–' : significant(value));
