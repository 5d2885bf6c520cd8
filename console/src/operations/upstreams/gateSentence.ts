// SPDX-License-Identifier: Apache-2.0
// The state of an upstream's flow control, in a sentence: whether calls go through.
import { rateText } from '../figures';
import type { Gate } from '../overview/overview';

export interface GateState {
  type: 'success' | 'warning' | 'error' | 'stopped';
  text: string;
}

/** Returns the state without moments, which the page shows beside it in its zone. */
export function gateState({ breaker, why, paused, rate, configured_rate: configured }: Gate): GateState {
  if (paused) return { type: 'stopped', text: `Deliveries are paused: ${paused.why}` };
  const cause = why ? `: ${why.replace(/\.$/, '')}.` : '.';
  if (breaker === 'open') return { type: 'error', text: `The circuit breaker is open${cause} No call goes through.` };
  if (breaker === 'half-open') {
    return {
      type: 'warning',
      text: `The circuit breaker is half open${cause} One call finds out whether it works again.`,
    };
  }
  if (rate !== null && configured !== null && rate < configured) {
    const limits = `${rateText(rate)} in place of ${rateText(configured)}`;
    return { type: 'warning', text: `Upstream throttles: calls are sent at ${limits} until it takes more.` };
  }
  const limit = rate === null ? 'without a limit' : `up to ${rateText(rate)}`;
  return { type: 'success', text: `Calls go through, ${limit}.` };
}
