// SPDX-License-Identifier: Apache-2.0
// The name of a lane and the reason why it waits, in words.
import { clockText, type Zone } from '../../api/time';
import { isPause, PAUSE_SENTENCE } from '../../jobs/jobSentence';
import { quantityText } from '../figures';
import type { Mark } from '../states/StatusMark';
import type { Lane } from './lanes';

const SHOWN_CHARACTERS = 8;

const KINDS: Record<string, (name: string) => string> = {
  run: (name) => name,
  experiment: (name) => `Experiment ${name}`,
  trace: (name) => `Trace ${name}`,
  traces: (name) => `Traces of experiment ${name}`,
};

/** Returns the name of a lane for people: the run's name, else its shortened id, else the kind with its id. */
export function laneName({ lane, run_name: runName }: Pick<Lane, 'lane' | 'run_name'>): string {
  if (runName) return runName;
  const [kind = '', ...rest] = lane.split(':');
  if (rest.length === 0) return shortId(lane);
  return KINDS[kind]?.(decoded(rest.join(':'))) ?? lane;
}

/** Returns the id of the run that a lane is for; null for any other lane, such as `experiment:7`. */
export const runIdOfLane = (lane: string): string | null => (lane.includes(':') ? null : lane);

/** Returns the beginning of an id. */
export const shortId = (id: string): string =>
  id.length > SHOWN_CHARACTERS + 2 ? `${id.slice(0, SHOWN_CHARACTERS)}…` : id;

const REASONS: Record<string, string> = {
  unavailable: 'Upstream fails',
  throttled: 'Upstream throttles',
  denied: 'Upstream denies the bridge this call',
  unknown: 'It is not known whether the last call arrived',
};

/** Returns the reason of a lane's last error, `throttled` or `paused` where that is why upstream is said to be unavailable. */
export function errorReason({ reason, message }: { reason: string; message: string }): string {
  if (isPause(message)) return 'paused';
  return message.startsWith('throttled') ? 'throttled' : reason;
}

/** Returns why a lane waits, and what comes next. `now` decides whether an attempt is due. */
export function laneSentence(lane: Lane, now: number, zone: Zone): string {
  if (lane.delivering && !lane.error) return 'A worker delivers it now.';
  const parts = [lane.error ? `${causeOf(lane.error)}.` : 'It waits for its turn.'];
  if (lane.attempts > 0) parts.push(`${quantityText(lane.attempts, 'attempt')} failed.`);
  parts.push(nextText(lane, now, zone));
  return parts.join(' ');
}

function causeOf(error: { reason: string; message: string }): string {
  const { message } = error;
  if (isPause(message)) return PAUSE_SENTENCE;
  const cause = REASONS[errorReason(error)] ?? `The last attempt failed (${error.reason})`;
  return message ? `${cause}: ${message.replace(/\.$/, '')}` : cause;
}

function nextText(lane: Lane, now: number, zone: Zone): string {
  const { next_attempt_at: next, delivering } = lane;
  if (delivering) return 'The next attempt runs now.';
  if (lane.error && isPause(lane.error.message)) return 'It waits until they are resumed.';
  if (!next || isDue(lane, now)) return 'The next attempt is due now.';
  return `The next attempt is at ${clockText(next, zone)}.`;
}

/** Returns when the next attempt is where that is no moment; null where it is the lane's `next_attempt_at`. */
export function nextAttemptText(lane: Pick<Lane, 'next_attempt_at' | 'error'>, now: number): string | null {
  if (lane.error && isPause(lane.error.message)) return 'once deliveries go on';
  return isDue(lane, now) ? 'with the next call' : null;
}

function isDue({ next_attempt_at: next }: Pick<Lane, 'next_attempt_at'>, now: number): boolean {
  return !next || Date.parse(next) <= now;
}

const STATE_TYPES: Record<string, Mark> = {
  delivering: 'in-progress',
  waiting: 'pending',
  failing: 'warning',
  denied: 'error',
};

export const laneStateType = (state: string): Mark => STATE_TYPES[state] ?? 'pending';

/** Returns the state in few words, short enough for a list: `failing: 503, 4 attempts`, `throttled: 4 attempts`. */
export function laneStateText({ state, attempts, error }: Lane): string {
  if (error && state === 'failing' && errorReason(error) === 'throttled')
    return `throttled: ${quantityText(attempts, 'attempt')}`;
  // The message of an upstream error has the HTTP status in it.
  const status = error && /\b([45]\d\d)\b/.exec(error.message)?.[1];
  const details = [status, attempts > 0 ? quantityText(attempts, 'attempt') : null].filter(Boolean);
  return details.length > 0 ? `${state}: ${details.join(', ')}` : state;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
