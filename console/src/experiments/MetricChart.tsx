// SPDX-License-Identifier: Apache-2.0
// A metric over its steps, as a line or as a table.
import Table from '@cloudscape-design/components/table';
import Toggle from '@cloudscape-design/components/toggle';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { momentText } from '../api/time';
import { QueryView } from '../feedback/QueryView';
import { type Theme, useTheme } from '../shell/theme';
import { type History, historyQuery, type Metric } from './mlflow';
import { type Series, seriesOf, seriesSentence, sortedPoints } from './series';

const CHART_HEIGHT_PX = 280;
const VALUE_AXIS_WIDTH_PX = 70;
const MAX_TABLE_ROWS = 500;

const COLOURS: Record<Theme, { line: string; text: string; grid: string }> = {
  light: { line: '#0353c4', text: '#424650', grid: '#e3e3e8' },
  dark: { line: '#75cfff', text: '#b4b4bb', grid: '#333d4a' },
};

export function MetricChart({ runId, metric }: { runId: string; metric: string }) {
  const query = useQuery(historyQuery(runId, metric));
  return (
    <QueryView query={query} label={`the history of ${metric}`} action="GetMetricHistory">
      {(history) => <HistoryView metric={metric} history={history} />}
    </QueryView>
  );
}

function HistoryView({ metric, history }: { metric: string; history: History }) {
  const [asTable, setAsTable] = useState(false);
  const series = useMemo(() => seriesOf(history.points), [history.points]);
  return (
    <>
      <Toggle checked={asTable} onChange={({ detail }) => setAsTable(detail.checked)}>
        Show as table
      </Toggle>
      {history.isTruncated && <p>The metric has more points; the first {history.points.length} are shown.</p>}
      {asTable ? (
        <PointTable points={history.points} />
      ) : (
        <LineChart label={seriesSentence(metric, series)} series={series} />
      )}
    </>
  );
}

function LineChart({ label, series }: { label: string; series: Series }) {
  const container = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  useEffect(() => {
    const element = container.current;
    if (!element) return;
    const options = chartOptions(element.clientWidth, theme);
    const chart = new UPlot(options, [series.steps, series.values], element);
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: CHART_HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
    };
  }, [series, theme]);
  return <div ref={container} role="img" aria-label={label} className="chart" />;
}

function chartOptions(width: number, theme: Theme): UPlot.Options {
  const { line, text, grid } = COLOURS[theme];
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  return {
    width,
    height: CHART_HEIGHT_PX,
    legend: { show: false },
    scales: { x: { time: false } },
    axes: [
      { ...axis, label: 'step' },
      { ...axis, size: VALUE_AXIS_WIDTH_PX },
    ],
    series: [{ label: 'step' }, { label: 'value', stroke: line, width: 2, spanGaps: false }],
  };
}

function PointTable({ points }: { points: Metric[] }) {
  const latest = sortedPoints(points).slice(-MAX_TABLE_ROWS);
  return (
    <>
      {points.length > latest.length && (
        <p>
          The latest {latest.length} of {points.length} points.
        </p>
      )}
      <Table
        variant="embedded"
        ariaLabels={{ tableLabel: 'Points of the metric' }}
        items={latest}
        columnDefinitions={COLUMNS}
        empty="No points."
      />
    </>
  );
}

const COLUMNS = [
  { id: 'step', header: 'Step', isRowHeader: true, cell: (point: Metric) => String(point.step ?? 0) },
  { id: 'value', header: 'Value', cell: (point: Metric) => String(point.value) },
  { id: 'time', header: 'Time', cell: (point: Metric) => momentText(Number(point.timestamp)) },
];
