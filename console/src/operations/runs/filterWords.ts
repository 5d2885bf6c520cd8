// SPDX-License-Identifier: Apache-2.0
import type { LaneChoice } from './lanes';

/** Returns the filter in words, null where none is set. */
export function filterWords({ state, client }: LaneChoice): string | null {
  const words = [state && `state ${state}`, client && `client ${client}`].filter(Boolean);
  return words.length > 0 ? words.join(', ') : null;
}
