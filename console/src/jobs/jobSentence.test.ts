// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { clockText } from '../api/time';
import type { JobDocument } from './jobs';
import { jobSentence, letterSentence } from './jobSentence';

const NEXT = '2026-11-29T14:02:40Z';

function job(changes: Partial<JobDocument>): JobDocument {
  return {
    job_id: 'AQ1',
    status: 'pending',
    lane: 'r1',
    run_id: 'r1',
    op: 'log-metric',
    accepted_at: '2026-11-29T14:00:00Z',
    settled_at: null,
    attempts: 0,
    next_attempt_at: null,
    error: null,
    upstream: null,
    ...changes,
  };
}

it('says what a pending job waits for, and what comes next', () => {
  const failing = {
    attempts: 4,
    next_attempt_at: NEXT,
    error: { reason: 'unavailable', message: '503 from upstream' },
  };
  expect(jobSentence(job(failing))).toBe(
    `MLflow does not answer or fails: 503 from upstream. 4 attempts failed. Next attempt at ${clockText(NEXT)}.`,
  );
  expect(jobSentence(job({}))).toBe('It waits for its turn.');
  const paused = { reason: 'unavailable', message: 'deliveries are paused by an operator' };
  expect(jobSentence(job({ error: paused, next_attempt_at: NEXT }))).toBe(
    'Deliveries are paused by an operator. It waits until they are resumed.',
  );
});

it('says why a job is dead', () => {
  const error = { reason: 'refused', message: 'Changing param values is not allowed.' };
  expect(jobSentence(job({ status: 'dead', error }))).toBe(
    'MLflow refused the write: Changing param values is not allowed.',
  );
});

it('names a reason that it does not know', () => {
  expect(letterSentence({ reason: 'new-reason', message: '' })).toBe('The bridge gave up on the write (new-reason).');
});
