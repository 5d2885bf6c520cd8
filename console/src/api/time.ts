// SPDX-License-Identifier: Apache-2.0
// Moments and spans of time, as people read them.

const SPANS: [seconds: number, unit: string][] = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
];

/** Returns a span in its largest whole unit: `4 minutes`. */
export function spanText(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const [size, unit] = SPANS.find(([each]) => seconds >= each) ?? [1, 'second'];
  const amount = Math.floor(seconds / size);
  return `${amount} ${unit}${amount === 1 ? '' : 's'}`;
}

/** Returns the time of day in the browser's zone: `14:02:40`. */
export function clockText(moment: string | Date): string {
  return new Date(moment).toLocaleTimeString('en-GB');
}

/** Returns date, time and offset in the browser's zone: `2026-11-29 14:02:40 GMT+1`. */
export function momentText(moment: string | number | Date): string {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return String(moment);
  const day = date.toLocaleDateString('sv-SE');
  const time = date.toLocaleTimeString('en-GB', { timeZoneName: 'shortOffset' });
  return `${day} ${time}`;
}
