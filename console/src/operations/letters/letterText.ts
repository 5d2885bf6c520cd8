// SPDX-License-Identifier: Apache-2.0
// Why a letter is dead and what to do about it, in words.
import type { LetterSummary } from './letters';

const WHY: Record<string, string> = {
  refused: 'Refused by upstream',
  expired: 'Expired: it waited longer than the bridge keeps trying',
  poison: 'Poison: its delivery ended its worker again and again',
  denied: 'Denied by upstream',
};

/** What to do, from the runbook's section on dead letters. */
const ADVICE: Record<string, string> = {
  refused: 'It is refused again unless the cause in MLflow is gone: a deleted run is restored, for example.',
  expired: 'Upstream was away for too long. Replay it once upstream answers.',
  poison: "Read the worker's log before a replay.",
  denied: 'Upstream denies the bridge this call. Allow it there, then replay.',
};

/** Returns why a letter is dead: `Refused by upstream, 400 INVALID_PARAMETER_VALUE`. */
export function letterTitle({
  reason,
  status,
  error_code: code,
}: Pick<LetterSummary, 'reason' | 'status' | 'error_code'>) {
  const answer = [status, code].filter(Boolean).join(' ');
  const why = WHY[reason] ?? `Given up: ${reason}`;
  return answer ? `${why}, ${answer}` : why;
}

export function letterAdvice(reason: string): string {
  return ADVICE[reason] ?? 'See the runbook.';
}

/** Returns the result of replaying or discarding letters by their ids: how many were done, how many were gone. */
export function resultText(verb: 'Replayed' | 'Discarded', doneCount: number, orderedCount: number): string {
  const goneCount = orderedCount - doneCount;
  if (goneCount === 0) return `${verb} ${lettersText(doneCount)}.`;
  return `${verb} ${lettersText(doneCount)}. ${lettersText(goneCount)} ${goneCount === 1 ? 'was' : 'were'} not there any more: replayed or discarded meanwhile.`;
}

export const lettersText = (count: number): string => `${count.toLocaleString('en')} letter${count === 1 ? '' : 's'}`;
