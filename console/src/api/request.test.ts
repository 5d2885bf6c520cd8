// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, it, vi } from 'vitest';

import { ProblemError } from './problem';
import { onSignedOut, requestJson } from './request';

function answer(status: number, body: string, headers: Record<string, string> = {}): void {
  vi.stubGlobal(
    'fetch',
    vi.fn(() => Promise.resolve(new Response(body || null, { status, headers }))),
  );
}

afterEach(() => {
  vi.unstubAllGlobals();
});

it('reads integers exactly', async () => {
  answer(200, '{"step":9223372036854775807}');
  expect(await requestJson('/v1/jobs/1')).toEqual({ step: 9223372036854775807n });
});

it('throws the problem with its request id', async () => {
  const body = {
    type: 'urn:mlflow-bridge:problem:forbidden',
    title: 'Forbidden',
    status: 403,
    detail: 'No GetBacklog.',
  };
  answer(403, JSON.stringify(body), { 'X-Request-Id': 'r1' });
  const error = await requestJson('/v1/backlog').catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ProblemError);
  expect((error as ProblemError).code).toBe('forbidden');
  expect((error as ProblemError).problem).toMatchObject({ detail: 'No GetBacklog.', requestId: 'r1' });
});

it("reads MLflow's errors", async () => {
  answer(404, '{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No such run."}');
  await expect(requestJson('/api')).rejects.toMatchObject({ problem: { title: 'RESOURCE_DOES_NOT_EXIST' } });
});

it('reports a session that has ended', async () => {
  const signedOut = vi.fn();
  const remove = onSignedOut(signedOut);
  answer(401, '{}');
  await expect(requestJson('/v1/keys/mine')).rejects.toBeInstanceOf(ProblemError);
  await expect(requestJson('/v1/session', { method: 'POST', body: {}, expect401: true })).rejects.toThrow();
  expect(signedOut).toHaveBeenCalledTimes(1);
  remove();
});

it('reports an unreachable bridge as status 0', async () => {
  vi.stubGlobal(
    'fetch',
    vi.fn(() => Promise.reject(new TypeError('network'))),
  );
  await expect(requestJson('/v1/session')).rejects.toMatchObject({ status: 0 });
});

it('takes an answer that does not come in time for none, and an abort for no answer at all', async () => {
  vi.stubGlobal(
    'fetch',
    vi.fn((_path: string, { signal }: RequestInit) => Promise.reject(signal?.reason as Error)),
  );
  const late = AbortSignal.abort(new DOMException('late', 'TimeoutError'));
  await expect(requestJson('/v1/overview', { signal: late })).rejects.toMatchObject({ status: 0 });
  const left = AbortSignal.abort();
  await expect(requestJson('/v1/overview', { signal: left })).rejects.toMatchObject({ name: 'AbortError' });
});
