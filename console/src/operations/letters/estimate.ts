// SPDX-License-Identifier: Apache-2.0
// How long a drain takes.
/** Returns a typed rate in letters per second. Null is as fast as the workers can; undefined is not valid. */
export function parseRate(typed: string): number | null | undefined {
  const text = typed.trim();
  if (!text) return null;
  const rate = Number(text);
  return Number.isFinite(rate) && rate > 0 && rate <= MAX_RATE ? rate : undefined;
}

const MAX_RATE = 1_000_000;

export const RATE_PROBLEM = 'Type a number above 0 and up to 1,000,000, or nothing: as fast as the workers can.';

/** Returns how long some letters take at a rate, in words. */
export function estimateText(letters: number, rate: number | null): string {
  if (letters === 0) return 'nothing to do';
  if (rate === null) return 'as fast as the workers can';
  const seconds = letters / rate;
  if (seconds < 1) return 'less than a second';
  return `about ${roundedSpan(seconds)}`;
}

/** Returns how long the rest of a drain takes, in words; null where that is not known. */
export function remainingText({
  done,
  total,
  rate,
}: {
  done: number;
  total: number;
  rate: number | null;
}): string | null {
  const left = Math.max(0, total - done);
  return rate === null || left === 0 ? null : `${estimateText(left, rate)} left`;
}

/** Returns a drain's rate in words. */
export function drainRateText(rate: number | null): string {
  return rate === null ? 'as fast as the workers can' : `${rate.toLocaleString('en')} a second`;
}

const UNITS: [seconds: number, unit: string][] = [
  [86_400, 'days'],
  [3600, 'hours'],
  [60, 'minutes'],
];

/** Returns a span in words. A unit is used from two of it on: 90 seconds are neither 1 minute nor 2. */
function roundedSpan(seconds: number): string {
  const [size, unit] = UNITS.find(([each]) => seconds >= 2 * each) ?? [1, 'seconds'];
  const amount = Math.round(seconds / size);
  return amount === 1 ? '1 second' : `${amount} ${unit}`;
}
