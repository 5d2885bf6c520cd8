// SPDX-License-Identifier: Apache-2.0
// The state of the bridge in a sentence.
import { quantityText, rateText } from '../figures';
import type { Mark } from '../states/StatusMark';
import type { Overview } from './overview';

const STATUSES: Record<string, { word: string; type: Mark }> = {
  delivering: { word: 'Delivering', type: 'success' },
  idle: { word: 'Up to date', type: 'success' },
  degraded: { word: 'Degraded', type: 'warning' },
  paused: { word: 'Paused', type: 'stopped' },
  unavailable: { word: 'Unavailable', type: 'error' },
};

export function statusWord(status: string): string {
  return STATUSES[status]?.word ?? status;
}

export function statusType(status: string): Mark {
  return STATUSES[status]?.type ?? 'info';
}

/** Returns the state and its cause, without figures: `Degraded: upstream answers 503.` */
export function statusSentence({
  status,
  why,
  gate,
  dead_letters: letters,
}: Pick<Overview, 'status' | 'why' | 'gate' | 'dead_letters'>): string {
  const word = statusWord(status);
  if (status === 'delivering') return `${word}: writes move on to MLflow.`;
  if (status === 'idle') {
    return `${word}: MLflow has all writes${letters.count > 0 ? ` but ${quantityText(letters.count, 'dead letter')}` : ''}.`;
  }
  const cause = status === 'paused' && gate.paused ? gate.paused.why : why[0]?.text;
  if (!cause) return status === 'unavailable' ? `${word}: writes are not accepted.` : `${word}.`;
  return `${word}: ${cause.replace(/\.$/, '')}.`;
}

/** Returns the figures beside a good state: `11.9/s writes go to MLflow, in 3.1/s calls of 25/s allowed.` */
export function figuresSentence({ status, rates, gate }: Pick<Overview, 'status' | 'rates' | 'gate'>): string | null {
  if (status !== 'delivering') return null;
  const allowed = gate.rate === null ? '' : ` of ${rateText(gate.rate)} allowed`;
  return `${rateText(rates.delivered)} writes go to MLflow, in ${rateText(rates.calls)} calls${allowed}.`;
}
