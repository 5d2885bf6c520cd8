// SPDX-License-Identifier: Apache-2.0
// Counts, rates, sizes and durations, as people read them.

const KIBI = 1024;
const TWO_DAYS_S = 172_800;
const SIZE_UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

export const countText = (count: number): string => count.toLocaleString('en');

/** Returns a count with its noun: `1 run`, `1,204 runs`. */
export function quantityText(count: number, noun: string, nouns = `${noun}s`): string {
  return `${countText(count)} ${count === 1 ? noun : nouns}`;
}

/** Returns a size with about three digits: `43 KiB`. */
export function sizeText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= KIBI && unit < SIZE_UNITS.length - 1) {
    value /= KIBI;
    unit += 1;
  }
  return withUnit(unit === 0 ? countText(value) : significant(value), SIZE_UNITS[unit] ?? '');
}

/** Returns a rate: `12.5/s`. */
export const rateText = (perSecond: number): string => `${significant(perSecond)}/s`;

/** Returns a duration: `4 ms`, `0.12 s`, `4.2 min`, `3.1 h`. It stays in hours for two days. */
export function durationText(seconds: number): string {
  if (seconds > 0 && seconds < 0.01) return withUnit(significant(1000 * seconds), 'ms');
  if (seconds < 60) return withUnit(significant(seconds), 's');
  if (seconds < 3600) return withUnit(significant(seconds / 60), 'min');
  if (seconds < TWO_DAYS_S) return withUnit(significant(seconds / 3600), 'h');
  return withUnit(significant(seconds / 86_400), 'days');
}

/** Returns the share that a part has of a whole: `0.3 %`. */
export const shareText = (part: number, whole: number): string => withUnit(significant((100 * part) / whole), '%');

/** Joins by a no-break space: a narrow column does not part a number from its unit. */
const withUnit = (value: string, unit: string): string => `${value}\u00a0${unit}`;

/** Returns a number with about three digits, and without trailing zeros. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toFixed(size >= 10 ? 1 : 2)));
}
