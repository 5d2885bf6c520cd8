// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { type Call, callsOf, matchingCalls, type OpenApiDocument, type Schema } from './openapi';
import { buildRequest, curlCommand, missingParameters } from './request';
import { exampleOf, limitTexts, mergeSchema, typeText } from './schema';

const METRIC: Schema = {
  title: 'Metric',
  type: 'object',
  properties: { key: { type: 'string' }, value: { anyOf: [{ type: 'number' }, { type: 'string' }] } },
  required: ['key', 'value'],
};

const DOCUMENT: OpenApiDocument = {
  info: { title: 'MLflow Bridge', version: '1' },
  paths: {
    '/v1/jobs/{job_id}': {
      get: {
        summary: 'What became of a write',
        parameters: [
          { name: 'job_id', in: 'path', required: true, schema: { type: 'string' } },
          { name: 'Prefer', in: 'header' },
          { name: 'limit', in: 'query' },
        ],
        responses: { 200: { description: 'The job' } },
      },
    },
    '/api/2.0/mlflow/runs/log-metric': { post: { summary: "Queue MLflow's log-metric", responses: {} } },
  },
  components: { schemas: { Metric: METRIC, Node: { type: 'object', properties: { next: { $ref: '#/x/Node' } } } } },
};

function jobCall(): Call {
  const [call] = callsOf(DOCUMENT);
  if (!call) throw new Error('The description has no call.');
  return call;
}

it('lists the operations with an id and a group', () => {
  expect(callsOf(DOCUMENT).map(({ id, method, group }) => [id, method, group])).toEqual([
    ['get-v1-jobs-job_id', 'GET', "The bridge's own calls"],
    ['post-api-2-0-mlflow-runs-log-metric', 'POST', "MLflow's calls, queued"],
  ]);
});

it('finds the operations that hold each word', () => {
  expect(matchingCalls(callsOf(DOCUMENT), 'write GET')).toHaveLength(1);
  expect(matchingCalls(callsOf(DOCUMENT), 'absent')).toEqual([]);
});

it('joins the parts of a schema', () => {
  const joined = mergeSchema(
    { allOf: [{ properties: { key: { maxLength: 250 } }, required: [] }, { $ref: '#/components/schemas/Metric' }] },
    DOCUMENT,
  );
  expect(joined.properties?.['key']).toEqual({ maxLength: 250, type: 'string' });
  expect(joined.required).toEqual(['key', 'value']);
});

it('says types and limits in words', () => {
  expect(typeText({ type: 'array', items: { $ref: '#/components/schemas/Metric' } }, DOCUMENT)).toBe('array of Metric');
  expect(typeText({ anyOf: [{ type: 'string' }, { type: 'null' }] }, DOCUMENT)).toBe('string or null');
  expect(limitTexts({ minLength: 1, maxLength: 250 })).toEqual(['at least 1 character', 'at most 250 characters']);
});

it('makes examples, also of a schema that holds itself', () => {
  expect(exampleOf({ $ref: '#/components/schemas/Metric' }, DOCUMENT)).toEqual({ key: 'string', value: 0 });
  expect(JSON.stringify(exampleOf({ $ref: '#/components/schemas/Node' }, DOCUMENT)).length).toBeLessThan(200);
});

it('builds the request, and the same for curl', () => {
  const values = { job_id: 'a/b', limit: '5', Prefer: "wait='1'" };
  const request = buildRequest(jobCall(), values, null);
  expect(request).toEqual({
    method: 'GET',
    path: '/v1/jobs/a%2Fb?limit=5',
    headers: { Prefer: "wait='1'" },
    body: null,
  });
  expect(curlCommand(request, 'https://bridge.example')).toBe(
    'curl -sS -X GET \'https://bridge.example/v1/jobs/a%2Fb?limit=5\' \\\n  --oauth2-bearer "$KEY" \\\n' +
      "  -H 'Prefer: wait='\\''1'\\'''",
  );
});

it('names required parameters without a value', () => {
  expect(missingParameters(jobCall(), {})).toEqual(['job_id']);
});
