// SPDX-License-Identifier: Apache-2.0
import { bridgeCommand } from '../commands/curl';
import type { LaneChoice } from './lanes';

/** Returns the filter in words, null where none is set. */
export function laneFilterWords({ state, client }: LaneChoice): string | null {
  const words = [state && `state ${state}`, client && `client ${client}`].filter(Boolean);
  return words.length > 0 ? words.join(', ') : null;
}

/** Returns the command that lists the same. */
export function listCommand({ state, client, order }: LaneChoice): string {
  const options = [...(state ? ['--state', state] : []), ...(client ? ['--client', client] : [])];
  return bridgeCommand('lanes', 'list', ...options, order === 'newest' ? '--newest' : null);
}
