// SPDX-License-Identifier: Apache-2.0
// Moments and spans of time, as people read them.

/** The zone of what is shown: the browser's, or UTC. */
export type Zone = 'local' | 'utc';

const SPANS: [seconds: number, unit: string][] = [
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
];

const DAY_S = 86_400;

/** Returns a span in its largest whole unit: `4 minutes`. It stays in hours for three days. */
export function spanText(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds >= 3 * DAY_S) return `${Math.floor(seconds / DAY_S)} days`;
  const [size, unit] = SPANS.find(([each]) => seconds >= each) ?? [1, 'second'];
  const amount = Math.floor(seconds / size);
  return `${amount} ${unit}${amount === 1 ? '' : 's'}`;
}

/** Returns how far a moment lies from now: `4 minutes ago`, `in 12 seconds`, `now`. */
export function relativeText(moment: string | number | Date, now: number): string {
  const distanceMs = new Date(moment).getTime() - now;
  if (Math.abs(distanceMs) < 1000) return 'now';
  return distanceMs > 0 ? `in ${spanText(distanceMs)}` : `${spanText(-distanceMs)} ago`;
}

/** Returns the time of day: `14:02:40`. */
export function clockText(moment: string | number | Date, zone: Zone = 'local'): string {
  return new Date(moment).toLocaleTimeString('en-GB', zoneOption(zone));
}

/** Returns date, time and offset: `2026-11-29 14:02:40 GMT+1`, `2026-11-29 13:02:40 UTC`. */
export function momentText(moment: string | number | Date, zone: Zone = 'local'): string {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return String(moment);
  const day = dayText(date, zone);
  if (zone === 'utc') return `${day} ${clockText(date, zone)} UTC`;
  return `${day} ${date.toLocaleTimeString('en-GB', { timeZoneName: 'shortOffset' })}`;
}

/** Returns the time of day, with the date before it if that is not today's: `14:02:40`, `2026-11-28 14:02:40`. */
export function shortMomentText(moment: string | number | Date, now: number, zone: Zone = 'local'): string {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return String(moment);
  const day = dayText(date, zone);
  return day === dayText(new Date(now), zone) ? clockText(date, zone) : `${day} ${clockText(date, zone)}`;
}

/** Returns the offset of the shown zone: `GMT+1`, `UTC`. */
export function offsetText(zone: Zone, now: number): string {
  return momentText(now, zone).split(' ').at(-1) ?? '';
}

function dayText(date: Date, zone: Zone): string {
  // Sweden writes dates as ISO 8601 does: 2026-11-29.
  return date.toLocaleDateString('sv-SE', zoneOption(zone));
}

function zoneOption(zone: Zone): Intl.DateTimeFormatOptions {
  return zone === 'utc' ? { timeZone: 'UTC' } : {};
}
