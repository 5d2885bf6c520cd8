// SPDX-License-Identifier: Apache-2.0
import { ProblemError } from './problem';

/**
 * Returns the `refetchInterval` of a query: every `intervalMs` while the tab is visible, also when the bridge does not
 * answer. A refused request (4xx) is not repeated: only a sign-in or another permission changes the answer. A 429
 * passes by itself, so polling goes on.
 */
export function pollEvery(intervalMs: number) {
  return ({ state: { error } }: { state: { error: Error | null } }): number | false => {
    const isRefused =
      error instanceof ProblemError && error.status >= 400 && error.status < 500 && error.status !== 429;
    return isRefused ? false : intervalMs;
  };
}
