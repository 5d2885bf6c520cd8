// SPDX-License-Identifier: Apache-2.0
// The sentences of the bar over each page: how far MLflow is behind, and why.
import { clockText, spanText } from '../api/time';
import type { OwnBacklog } from './backlog';

/** A write that waits for less than this is on its way, and no reason for a bar. */
const NORMAL_WAIT_MS = 10_000;

export type BacklogState = 'current' | 'behind' | 'stopped';

const REASONS: Record<string, { short: string; sentence: string }> = {
  throttled: {
    short: 'throttled',
    sentence: 'MLflow takes fewer calls than are sent, so the bridge sends them slower.',
  },
  'breaker-open': {
    short: 'MLflow fails',
    sentence: 'MLflow fails or does not answer. The bridge tries again by itself.',
  },
  'half-open': {
    short: 'trying again',
    sentence: 'MLflow failed. The bridge tries one call to find out whether it works again.',
  },
  denied: {
    short: 'access denied',
    sentence: 'MLflow denies the bridge access. An operator has to look at its permissions.',
  },
  unavailable: { short: 'unavailable', sentence: 'MLflow cannot be reached. The bridge tries again by itself.' },
  unknown: {
    short: 'outcome not known',
    sentence: 'It is not known whether the last attempt arrived. The bridge repeats it.',
  },
  'no-workers': { short: 'no worker runs', sentence: 'No worker of the bridge runs. An operator has to start one.' },
  paused: { short: 'paused', sentence: 'An operator has paused the delivery.' },
};

export function backlogState(backlog: OwnBacklog, now: number): BacklogState {
  if (!backlog.upstream.delivering) return 'stopped';
  const { writes, oldest_accepted_at: oldest } = backlog;
  return writes > 0 && oldest !== null && now - Date.parse(oldest) >= NORMAL_WAIT_MS ? 'behind' : 'current';
}

/** Returns the bar's sentence: how far MLflow is behind, why, and what comes next. */
export function backlogSentence(backlog: OwnBacklog, now: number): string {
  const { writes, oldest_accepted_at: oldest, upstream } = backlog;
  const next = upstream.next_attempt_at ? `, next attempt ${clockText(upstream.next_attempt_at)}` : '';
  const reasonText = upstream.reason ? ` (${shortReason(upstream.reason)})` : '';
  if (writes === 0) return `MLflow receives nothing at present${reasonText}${next}. None of your writes wait.`;
  const behind = oldest ? `MLflow is ${spanText(now - Date.parse(oldest))} behind: ` : '';
  const more = backlog.is_complete === false ? 'more than ' : '';
  const waiting = writes === 1 ? '1 of your writes waits' : `${more}${writes.toLocaleString('en')} of your writes wait`;
  return `${behind}${waiting}${reasonText}${next}`;
}

/** Returns what the live region says when the state changes: no figures, which change all the time. */
export function stateAnnouncement(state: BacklogState, reason: string | null): string {
  const reasonText = reason ? ` (${shortReason(reason)})` : '';
  if (state === 'stopped') return `MLflow receives nothing at present${reasonText}.`;
  return state === 'behind' ? `MLflow is behind${reasonText}.` : 'MLflow has all of your writes.';
}

export function shortReason(reason: string): string {
  return REASONS[reason]?.short ?? reason.replaceAll('-', ' ');
}

export function reasonSentence(reason: string | null): string | null {
  if (reason === null) return null;
  return REASONS[reason]?.sentence ?? `The bridge reports: ${reason.replaceAll('-', ' ')}.`;
}
