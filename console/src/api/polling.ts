// SPDX-License-Identifier: Apache-2.0
import { ProblemError } from './problem';

/**
 * Returns the `refetchInterval` of a query: every `intervalMs` while the tab is visible, also when the bridge does not
 * answer. What the bridge refuses (4xx) is not repeated: only a sign-in or another permission changes that.
 */
export function pollEvery(intervalMs: number) {
  return ({ state: { error } }: { state: { error: Error | null } }): number | false => {
    const refused = error instanceof ProblemError && error.status >= 400 && error.status < 500 && error.status !== 429;
    return refused ? false : intervalMs;
  };
}
