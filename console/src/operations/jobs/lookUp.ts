// SPDX-License-Identifier: Apache-2.0
// Finds jobs by what a client knows of them: ids, a run, a request id, an idempotency key.
import { requestJson } from '../../api/request';
import type { JobDocument } from '../../jobs/jobs';
import { callPath } from '../search';

/** As many as `POST /v1/jobs/lookup` takes. */
const MAX_TERMS = 1000;
const PAGE_SIZE = 100;

const JOB_ID = /^[\w-]{35,2000}$/;
const RUN_ID = /^[0-9a-f]{32}$/;
const RUN_NAME = /^[A-Za-z0-9][\w.:@=+/-]{0,199}$/;

/** A way to read what was typed. */
export interface Way {
  kind: 'ids' | 'run' | 'named-run' | 'request' | 'idempotency-key';
  /** What it is read as: `a run's id`. */
  as: string;
  find: (signal: AbortSignal) => Promise<Found>;
}

export interface Found {
  jobs: JobDocument[];
  /** Ids that lead to no job. */
  unknown: string[];
}

/** Returns the ids that were typed or pasted: one a line, or with spaces or commas between. */
export function termsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))].slice(0, MAX_TERMS);
}

/** Returns what the terms may be. Many terms are ids of jobs; a single one is looked for in each way that its form allows. */
export function waysOf(terms: string[], client: string | undefined): Way[] {
  const [term] = terms;
  if (term === undefined) return [];
  const ids: Way = {
    kind: 'ids',
    as: terms.length > 1 ? 'ids of jobs' : "a job's id",
    find: (signal) => byIds(terms, signal),
  };
  if (terms.length > 1) return [ids];
  const listed = (kind: Way['kind'], as: string, fields: Record<string, string | undefined>): Way => ({
    kind,
    as,
    find: (signal) => listOf(fields, signal),
  });
  return [
    ...(JOB_ID.test(term) ? [ids] : []),
    ...(RUN_ID.test(term) ? [listed('run', "a run's id: its writes that wait", { run_id: term })] : []),
    ...(RUN_NAME.test(term) && !RUN_ID.test(term)
      ? [listed('named-run', 'the name of a run: its writes that wait', { run: term })]
      : []),
    listed('request', 'a request id', { request_id: term }),
    listed('idempotency-key', 'an idempotency key', { idempotency_key: term, client }),
  ];
}

async function byIds(job_ids: string[], signal: AbortSignal): Promise<Found> {
  const { jobs } = await requestJson<{ jobs: (JobDocument | null)[] }>('/v1/jobs/lookup', {
    method: 'POST',
    body: { job_ids },
    signal,
  });
  return {
    jobs: jobs.filter((job) => job !== null),
    unknown: job_ids.filter((_, index) => jobs[index] === null),
  };
}

async function listOf(fields: Record<string, string | undefined>, signal: AbortSignal): Promise<Found> {
  const path = callPath('/v1/jobs', { ...fields, limit: fields['run_id'] || fields['run'] ? PAGE_SIZE : undefined });
  const { jobs } = await requestJson<{ jobs: JobDocument[] }>(path, { signal });
  return { jobs, unknown: [] };
}
