// SPDX-License-Identifier: Apache-2.0

/** Returns how much is left of each rate, in words: `requests 80 %`. */
export function levelTexts(levels: Record<string, number>): string[] {
  return Object.entries(levels).map(([name, level]) => `${name} ${Math.round(level * 100)} %`);
}

/** Returns the lowest level of all rates, from 0 to 1; null without any limit. */
export function lowestLevel(levels: Record<string, number> | null): number | null {
  const values = Object.values(levels ?? {});
  return values.length > 0 ? Math.min(...values) : null;
}
