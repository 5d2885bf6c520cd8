// SPDX-License-Identifier: Apache-2.0
// What clients use, by hour or by day, as `GET /v1/usage` states it.
import { callPath } from '../search';

export const MEASURES = [
  'requests',
  'writes',
  'bytes',
  'denied',
  'limited',
  'refused',
  'prompt_tokens',
  'completion_tokens',
] as const;

export type Measure = (typeof MEASURES)[number];

export type Counts = Record<Measure, number> & {
  /** By endpoint of MLflow's AI Gateway. */
  models: Record<string, { requests: number; prompt_tokens: number; completion_tokens: number }>;
};

export type UsageStep = Counts & { at: string };

export interface ClientUsageDocument {
  client: string;
  /** Hours or days without any request are left out. */
  hours: UsageStep[];
  total: Counts;
}

export interface UsagePage {
  /** The length of each hour or day, in seconds. */
  step: number;
  begin: string;
  clients: ClientUsageDocument[];
  next?: string | null;
}

export type Period = 'hour' | 'day';

export const PERIODS: Record<Period, { query: Record<string, number>; words: string }> = {
  hour: { query: { hours: 24 }, words: 'the last 24 hours' },
  day: { query: { days: 30 }, words: 'the last 30 days' },
};

const LIST_LIMIT = 1000;

export function usagePath(by: Period, client: string | undefined): string {
  return callPath('/v1/usage', { client, ...PERIODS[by].query, limit: LIST_LIMIT });
}

export const usageCsvPath = (by: Period, client: string | undefined): string =>
  callPath('/v1/usage', { client, ...PERIODS[by].query });

export interface Bar {
  /** The beginning of the hour or day. */
  at: string;
  value: number;
}

/** Returns one bar for each hour or day from `begin` to now, also where there was no request. */
export function barsOf(
  hours: UsageStep[],
  measure: Measure,
  page: Pick<UsagePage, 'begin' | 'step'>,
  now: Date,
): Bar[] {
  const stepMs = page.step * 1000;
  const begin = Date.parse(page.begin);
  const values = new Map(hours.map((each) => [Date.parse(each.at), each[measure]]));
  const count = Math.max(1, Math.floor((now.getTime() - begin) / stepMs) + 1);
  return Array.from({ length: Math.min(count, MAX_BARS) }, (_, index) => {
    const at = begin + index * stepMs;
    return { at: new Date(at).toISOString(), value: values.get(at) ?? 0 };
  });
}

/** A limit for a browser with a clock far ahead. Usual are 24 or 30 bars. */
const MAX_BARS = 400;

/** Returns the clients in the order of a measure, the highest first; equal ones by name. */
export function sortedByMeasure(clients: ClientUsageDocument[], measure: Measure): ClientUsageDocument[] {
  return clients.toSorted(
    (one, other) => other.total[measure] - one.total[measure] || one.client.localeCompare(other.client),
  );
}

/** Returns one bar for each hour or day, with the sum of all clients. */
export function summedBars(clients: ClientUsageDocument[], measure: Measure, page: UsagePage, now: Date): Bar[] {
  const barsOfClients = clients.map(({ hours }) => barsOf(hours, measure, page, now));
  return (barsOfClients[0] ?? barsOf([], measure, page, now)).map(({ at }, index) => ({
    at,
    value: barsOfClients.reduce((sum, bars) => sum + (bars[index]?.value ?? 0), 0),
  }));
}
