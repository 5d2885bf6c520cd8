// SPDX-License-Identifier: Apache-2.0
// The charts of the last hour: writes, waiting times, and calls of upstream.
import { useMemo } from 'react';

import { TimeChart } from '../charts/TimeChart';
import type { ChartLine } from '../charts/plot';
import { percentilesOf, perSecond, type SeriesDocument, timesOf, useSeries, valuesOf } from '../charts/series';
import { LiveQueryView } from '../states/LiveQueryView';

const SERIES_NAMES = [
  'writes_accepted',
  'writes_delivered',
  'writes_dead_lettered',
  'requests_rejected',
  'upstream_calls',
  'delivery_lag_seconds',
  'oldest_pending_seconds',
  'breaker_open',
] as const;
const MINUTES = 60;

export function Charts() {
  const query = useSeries(SERIES_NAMES, MINUTES);
  return (
    <LiveQueryView query={query} label="the charts" action="GetMetrics">
      {(document) => <ChartGrid document={document} updatedAt={query.dataUpdatedAt} />}
    </LiveQueryView>
  );
}

function ChartGrid({ document, updatedAt }: { document: SeriesDocument; updatedAt: number }) {
  const charts = useMemo(() => chartsOf(document, updatedAt), [document, updatedAt]);
  const { partial } = document;
  const times = useMemo(() => timesOf(document, charts.count), [document, charts.count]);
  return (
    <div className="charts">
      <TimeChart title="Writes" unit="per second" times={times} lines={charts.writes} partial={partial} />
      <TimeChart title="Waiting" unit="seconds, logarithmic" times={times} lines={charts.waits} partial={partial} log />
      <TimeChart
        title="Calls of upstream"
        unit="per second"
        times={times}
        lines={charts.calls}
        partial={partial}
        band={charts.breaker}
      />
    </div>
  );
}

interface ChartLines {
  count: number;
  writes: ChartLine[];
  waits: ChartLine[];
  calls: ChartLine[];
  breaker: ChartLine;
}

function chartsOf(document: SeriesDocument, now: number): ChartLines {
  const rate = (name: (typeof SERIES_NAMES)[number]) => perSecond(document, name, now);
  const accepted = rate('writes_accepted');
  return {
    count: accepted.length,
    writes: [
      { name: 'accepted', style: 'first', values: accepted },
      { name: 'delivered', style: 'second', values: rate('writes_delivered') },
      { name: 'dead letters', style: 'third', values: rate('writes_dead_lettered') },
      { name: 'refused requests', style: 'fourth', values: rate('requests_rejected') },
    ],
    waits: [
      { name: 'oldest write that waits', style: 'first', values: valuesOf(document, 'oldest_pending_seconds') },
      {
        name: 'lag of delivered writes, 95 %',
        style: 'second',
        values: percentilesOf(document, 'delivery_lag_seconds').p95,
      },
    ],
    calls: [{ name: 'calls', style: 'first', values: rate('upstream_calls') }],
    breaker: { name: 'circuit breaker open', style: 'band', values: valuesOf(document, 'breaker_open') },
  };
}
