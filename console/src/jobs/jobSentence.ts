// SPDX-License-Identifier: Apache-2.0
// The state of a job or of a dead letter, in a sentence.
import { clockText, momentText } from '../api/time';
import type { JobDocument, LetterSummary } from './jobs';

/** By the reason that the bridge states for a dead letter. */
const DEAD_REASONS: Record<string, string> = {
  refused: 'MLflow refused the write',
  expired: 'The write waited longer than the bridge keeps trying',
  poison: 'The delivery of the write crashed its worker again and again',
  denied: 'MLflow denied the bridge this call',
};

/** By the reason of the last failed attempt of a pending job. */
const WAIT_REASONS: Record<string, string> = {
  unavailable: 'MLflow does not answer or fails',
  denied: 'MLflow denies the bridge this call',
  unknown: 'It is not known whether the last attempt arrived',
  throttled: 'MLflow throttles',
};

/** The beginning of the last message of a write that waits for an operator, and what a page says of it. */
const PAUSE_MESSAGE = 'deliveries are paused';
export const PAUSE_SENTENCE = 'Deliveries are paused by an operator';

/** Returns whether the message of a failed attempt says that deliveries are paused. */
export const isPause = (message: string): boolean => message.startsWith(PAUSE_MESSAGE);

/** Returns why a job is where it is, and what comes next. */
export function jobSentence(job: JobDocument): string {
  if (job.status === 'delivered') return 'MLflow has it.';
  if (job.status === 'discarded') return 'It was given up on, and then discarded by a person.';
  if (job.status === 'dead') return withMessage(deadReasonText(job.error?.reason), job.error?.message);
  const next = job.next_attempt_at ? ` Next attempt at ${clockText(job.next_attempt_at)}.` : '';
  if (job.error && isPause(job.error.message)) return `${PAUSE_SENTENCE}. It waits until they are resumed.`;
  if (!job.error) return `It waits for its turn.${next}`;
  const reasonText = WAIT_REASONS[job.error.reason] ?? `The last attempt failed (${job.error.reason})`;
  return `${withMessage(reasonText, job.error.message)} ${attemptsText(job.attempts)}.${next}`;
}

/** Returns why a letter is dead. */
export function letterSentence(letter: Pick<LetterSummary, 'reason' | 'message'>): string {
  return withMessage(deadReasonText(letter.reason), letter.message);
}

/** Returns the moments of a job: when it was accepted and settled. */
export function jobTimes(job: JobDocument): string {
  const settled = job.settled_at ? `, settled ${momentText(job.settled_at)}` : '';
  return `Accepted ${momentText(job.accepted_at)}${settled}`;
}

function deadReasonText(reason: string | undefined): string {
  return DEAD_REASONS[reason ?? ''] ?? `The bridge gave up on the write (${reason ?? 'no reason is stored'})`;
}

function withMessage(reasonText: string, message: string | undefined): string {
  if (!message) return `${reasonText}.`;
  return `${reasonText}: ${message}${/[.!?]$/.test(message) ? '' : '.'}`;
}

function attemptsText(attempts: number): string {
  return attempts === 1 ? '1 attempt failed' : `${attempts} attempts failed`;
}
