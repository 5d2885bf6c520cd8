// SPDX-License-Identifier: Apache-2.0
// Figures by the minute, as `GET /v1/series` states them, and as charts draw them.
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { significant } from '../figures';
import { callPath } from '../search';

export type Values = (number | null)[];

export type Series = { kind: 'counter' | 'gauge'; values: Values } | { kind: 'histogram'; p50: Values; p95: Values };

export interface SeriesDocument {
  /** Seconds from one value to the next. */
  step: number;
  begin: string;
  /** Whether the last value is of a minute that has not ended. */
  partial: boolean;
  series: Record<string, Series>;
}

/** A named line of a chart. */
export interface Line {
  name: string;
  values: Values;
}

export function useSeries(names: readonly string[], minutes: number) {
  return useLiveQuery<SeriesDocument>({
    path: callPath('/v1/series', { names: names.join(','), minutes }),
    pollMs: POLL_MS.list,
    keepsRows: true,
  });
}

/** Returns the values of a counter or a gauge; none where the bridge does not know the series. */
export function valuesOf({ series }: SeriesDocument, name: string): Values {
  const found = series[name];
  return found && found.kind !== 'histogram' ? found.values : [];
}

/** Returns the percentiles of a histogram; none where the bridge does not know the series. */
export function percentilesOf({ series }: SeriesDocument, name: string): { p50: Values; p95: Values } {
  const found = series[name];
  return found?.kind === 'histogram' ? found : { p50: [], p95: [] };
}

/** The rate of a minute is not shown before this time of it has passed: few seconds give no rate. */
const MIN_ELAPSED_S = 10;

/** Returns a counter per second. The running minute is divided by the part of it that has passed. */
export function perSecond(document: SeriesDocument, name: string, now: number): Values {
  const values = valuesOf(document, name);
  const last = values.length - 1;
  return values.map((value, index) => {
    if (value === null) return null;
    if (index !== last || !document.partial) return value / document.step;
    const elapsedSeconds = now / 1000 - (Date.parse(document.begin) / 1000 + last * document.step);
    return elapsedSeconds < MIN_ELAPSED_S ? null : value / Math.min(elapsedSeconds, document.step);
  });
}

/** Returns the moments of the values, in seconds. */
export function timesOf({ begin, step }: SeriesDocument, count: number): number[] {
  const first = Date.parse(begin) / 1000;
  return Array.from({ length: count }, (_, index) => first + index * step);
}

/** Returns a chart in a sentence, for people who do not see it. */
export function chartSentence(title: string, lines: Line[], minutes: number): string {
  const parts = lines.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    const latest = known.at(-1);
    if (latest === undefined) return `${name} has no values`;
    return `${name} latest ${significant(latest)}, highest ${significant(Math.max(...known))}`;
  });
  return `${title}, the last ${minutes} minutes: ${parts.join('; ')}.`;
}
