// SPDX-License-Identifier: Apache-2.0
// The filter of dead letters: in the address, for the API, for the command line, and in words.
import { momentText } from '../../api/time';

export const REASONS = ['refused', 'expired', 'poison', 'denied'] as const;

/** The fields of `LetterFilter`, in the order in which they are shown. */
const FIELDS = ['reason', 'op', 'error_code', 'client', 'run_id', 'lane', 'since', 'until'] as const;

export type FilterField = (typeof FIELDS)[number];

/** The filter as the API takes it; without any field, all letters. `since` may also be a span, such as `24h`. */
export type LetterFilter = Partial<Record<FilterField, string>>;

const SPAN = /^(\d{1,4})(m|h|d)$/;
const SPAN_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SPAN_UNITS = { m: 'minute', h: 'hour', d: 'day' } as const;

/** Returns what is wrong with the value of a field, null if it is valid. */
export function fieldProblem(field: FilterField, value: string): string | null {
  if (field === 'reason' && !REASONS.some((each) => each === value)) {
    return `“${value}” is no reason. Choose one of ${REASONS.join(', ')}.`;
  }
  if (field === 'since' || field === 'until') return timeProblem(field, value);
  return null;
}

/** Returns what is wrong with a time. Only a beginning may also be a span. */
export function timeProblem(field: 'since' | 'until', value: string): string | null {
  if (isMoment(value) || (field === 'since' && SPAN.test(value))) return null;
  const span = field === 'since' ? ', or as a span like 24h or 7d' : '';
  return `“${value}” is no time. Write it like 2026-11-29T14:00Z${span}.`;
}

/**
 * Returns the filter with absolute times.
 *
 * Spans end at the current minute. The path of a poll thus changes once a minute only, and the browser can
 * revalidate its answer.
 */
export function absoluteFilter(filter: LetterFilter, now: Date): LetterFilter {
  const times: LetterFilter = {};
  if (filter.since) times.since = absoluteTime(filter.since, now);
  if (filter.until) times.until = absoluteTime(filter.until, now);
  return { ...filter, ...times };
}

export function isEmptyFilter(filter: LetterFilter): boolean {
  return Object.keys(filter).length === 0;
}

/** Returns the filter in words: `reason refused, client nightly, given up in the last 24 hours`. */
export function letterFilterWords(filter: LetterFilter): string {
  const words = FIELDS.flatMap((field) => {
    const value = filter[field];
    return value === undefined ? [] : [fieldWords(field, value)];
  });
  return words.length > 0 ? words.join(', ') : 'all dead letters, without a filter';
}

/** Returns the options of `mlflow-bridge dead-letters` that select the same letters. */
export function filterOptions(filter: LetterFilter): string[] {
  const options = FIELDS.flatMap((field) => {
    const value = filter[field];
    return value === undefined ? [] : [OPTIONS[field], value];
  });
  return options.length > 0 ? options : ['--all'];
}

const OPTIONS: Record<FilterField, string> = {
  reason: '--reason',
  op: '--op',
  error_code: '--error-code',
  client: '--client',
  run_id: '--run',
  lane: '--lane',
  since: '--since',
  until: '--until',
};

export const FIELD_LABELS: Record<FilterField, string> = {
  reason: 'Reason',
  op: 'Write',
  error_code: 'Error code',
  client: 'Client',
  run_id: 'Run',
  lane: 'Lane',
  since: 'Given up since',
  until: 'Given up before',
};

function fieldWords(field: FilterField, value: string): string {
  if (field === 'since')
    return SPAN.test(value) ? `given up in the last ${spanWords(value)}` : `given up since ${momentText(value)}`;
  if (field === 'until') return `given up before ${momentText(value)}`;
  return `${FIELD_LABELS[field].toLowerCase()} ${value}`;
}

function spanWords(span: string): string {
  const [, amount = '', unit = 'h'] = SPAN.exec(span) ?? [];
  return `${amount} ${SPAN_UNITS[unit as keyof typeof SPAN_UNITS]}${amount === '1' ? '' : 's'}`;
}

function isMoment(text: string): boolean {
  return (
    /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text) && !Number.isNaN(Date.parse(text))
  );
}

/** Returns a time as the API takes it. */
export function absoluteTime(value: string, now: Date): string {
  const span = SPAN.exec(value);
  if (!span) return new Date(value).toISOString().replace(/\.000Z$/, 'Z');
  const unit = span[2] as keyof typeof SPAN_MS;
  const minute = Math.floor(now.getTime() / SPAN_MS.m) * SPAN_MS.m;
  return new Date(minute - Number(span[1]) * SPAN_MS[unit]).toISOString().replace(/\.000Z$/, 'Z');
}
