// SPDX-License-Identifier: Apache-2.0
// Finds jobs by what a client knows of them: ids, a run, a request id, an idempotency key.
import { requestJson } from '../../api/request';
import type { JobDocument } from '../../jobs/jobs';
import { callPath } from '../search';

/** As many as `POST /v1/jobs/lookup` takes. */
const MAX_TERMS = 1000;
const PAGE_SIZE = 100;

/** A sealed id of a job; other terms may have this form as well. */
const JOB_ID = /^[\w-]{35,2000}$/;
const RUN_ID = /^[0-9a-f]{32}$/;
const RUN_NAME = /^[A-Za-z0-9][\w.:@=+/-]{0,199}$/;

/** What search terms may be, and the request that finds jobs by them. */
export interface Interpretation {
  kind: 'ids' | 'run' | 'named-run' | 'request' | 'idempotency-key';
  /** In words: `a run's id`. */
  label: string;
  find: (signal: AbortSignal) => Promise<LookupResult>;
}

export interface LookupResult {
  jobs: JobDocument[];
  /** Ids that lead to no job. */
  unknown: string[];
}

/** Returns the different terms of a text, which spaces, commas or line ends part. */
export function termsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))].slice(0, MAX_TERMS);
}

/** Returns the term that may be the id of a run, null if none may be. */
export function runIdOf(terms: string[]): string | null {
  const [term] = terms;
  return terms.length === 1 && term !== undefined && RUN_ID.test(term) ? term : null;
}

/** Returns the term that may be the name of a run, null if none may be. */
export function runNameOf(terms: string[]): string | null {
  const [term] = terms;
  return terms.length === 1 && term !== undefined && RUN_NAME.test(term) && !RUN_ID.test(term) ? term : null;
}

/** Returns what the terms may be. Several terms are ids of jobs; a single one may be anything that its form allows. */
export function interpretationsOf(terms: string[], client: string | undefined): Interpretation[] {
  const [term] = terms;
  if (term === undefined) return [];
  const ids: Interpretation = {
    kind: 'ids',
    label: terms.length > 1 ? 'ids of jobs' : "a job's id",
    find: (signal) => findByIds(terms, signal),
  };
  if (terms.length > 1) return [ids];
  const byFields = (
    kind: Interpretation['kind'],
    label: string,
    fields: Record<string, string | undefined>,
  ): Interpretation => ({
    kind,
    label,
    find: (signal) => findByFields(fields, signal),
  });
  return [
    ...(JOB_ID.test(term) ? [ids] : []),
    ...(runIdOf(terms) !== null ? [byFields('run', "a run's id: its writes that wait", { run_id: term })] : []),
    ...(runNameOf(terms) !== null
      ? [byFields('named-run', 'the name of a run: its writes that wait', { run: term })]
      : []),
    byFields('request', 'a request id', { request_id: term }),
    byFields('idempotency-key', 'an idempotency key', { idempotency_key: term, client }),
  ];
}

async function findByIds(job_ids: string[], signal: AbortSignal): Promise<LookupResult> {
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

async function findByFields(fields: Record<string, string | undefined>, signal: AbortSignal): Promise<LookupResult> {
  const path = callPath('/v1/jobs', { ...fields, limit: fields['run_id'] || fields['run'] ? PAGE_SIZE : undefined });
  const { jobs } = await requestJson<{ jobs: JobDocument[] }>(path, { signal });
  return { jobs, unknown: [] };
}
