// SPDX-License-Identifier: Apache-2.0

/** Returns how much is left of each rate: `requests 80 %`. */
export function levelWords(levels: Record<string, number>): string[] {
  return Object.entries(levels).map(([name, level]) => `${name} ${Math.round(level * 100)} %`);
}

/** Returns the smallest part that is left, null without any limit. */
export function leastLevel(levels: Record<string, number> | null): number | null {
  const values = Object.values(levels ?? {});
  return values.length > 0 ? Math.min(...values) : null;
}
