// SPDX-License-Identifier: Apache-2.0
// A description with one operation of each shape that the reference has to show.

const METRIC = {
    title: 'Metric',
    type: 'object',
    description: 'One value of a metric.',
    properties: {
        key: { type: 'string', minLength: 1, maxLength: 250, description: 'Its name.' },
        value: { anyOf: [{ type: 'number' }, { enum: ['NaN', 'Infinity', '-Infinity'] }] },
        step: { type: 'integer', minimum: -9007199254740991, maximum: 9007199254740991 },
    },
    required: ['key', 'value'],
};

const PROBLEM = {
    description: 'A problem (RFC 9457)',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

export const OPENAPI = {
    openapi: '3.1.0',
    info: { title: 'MLflow Bridge', version: '1', summary: 'Durable, asynchronous logging to MLflow' },
    paths: {
        '/v1/jobs/{job_id}': {
            get: {
                summary: 'What became of a write',
                description:
                    'Answers the job of a write.\n\nWith `Prefer: wait=N` the answer comes when the job is settled.',
                parameters: [
                    { name: 'job_id', in: 'path', required: true, schema: { type: 'string' } },
                    { name: 'Prefer', in: 'header', description: 'RFC 7240: wait=N', schema: { type: 'string' } },
                ],
                responses: {
                    200: {
                        description: 'The job',
                        content: { 'application/json': { schema: { $ref: '#/components/schemas/Job' } } },
                    },
                    404: PROBLEM,
                },
            },
        },
        '/v1/dead-letters': {
            get: {
                summary: 'Dead letters, the oldest first',
                parameters: [{ name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 1000 } }],
                responses: { 200: { description: 'A page' }, 400: PROBLEM },
            },
        },
        '/api/2.0/mlflow/runs/log-batch': {
            post: {
                summary: "Queue MLflow's log-batch",
                requestBody: {
                    required: true,
                    content: {
                        'application/json': {
                            schema: {
                                allOf: [
                                    {
                                        type: 'object',
                                        properties: { run_id: { type: 'string' } },
                                        required: ['run_id'],
                                    },
                                    { type: 'object', properties: { metrics: { type: 'array', items: METRIC } } },
                                ],
                            },
                            example: { run_id: 'a3f1c0de', metrics: [{ key: 'loss', value: 0.1, step: 1 }] },
                        },
                    },
                },
                responses: { 200: { description: 'Stored durably' }, 400: PROBLEM },
            },
        },
    },
    components: {
        schemas: {
            Job: {
                title: 'Job',
                type: 'object',
                description: 'What became of a write.',
                properties: {
                    job_id: { type: 'string' },
                    status: { enum: ['pending', 'delivered', 'dead', 'discarded'] },
                },
                required: ['job_id', 'status'],
            },
            Problem: {
                title: 'Problem',
                type: 'object',
                properties: { type: { type: 'string' }, title: { type: 'string' }, detail: { type: 'string' } },
                required: ['type', 'title'],
            },
        },
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'An API key' } },
    },
};
