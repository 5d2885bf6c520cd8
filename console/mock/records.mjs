// SPDX-License-Identifier: Apache-2.0
// The calls about what was used and what was done.
import { ago, state } from './state.mjs';

const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
const NO_TOKENS = { prompt_tokens: 0, completion_tokens: 0, models: {} };

/** A wave, so that bars differ. */
const wave = (index, size) => Math.round(size * (1 + Math.sin(index / 3)) * (index % 7 === 5 ? 0 : 1));

function counts(index, size, withTokens) {
    const requests = wave(index, size);
    const tokens = {
        requests: Math.round(requests / 10),
        prompt_tokens: requests * 30,
        completion_tokens: requests * 9,
    };
    return {
        requests,
        writes: requests * 12,
        bytes: requests * 3100,
        denied: index % 6 === 0 ? 2 : 0,
        limited: index % 5 === 0 ? Math.round(size / 20) : 0,
        refused: index % 9 === 0 ? 1 : 0,
        ...(withTokens
            ? {
                  prompt_tokens: tokens.prompt_tokens,
                  completion_tokens: tokens.completion_tokens,
                  models: { 'gpt-4o': tokens },
              }
            : NO_TOKENS),
    };
}

function total(steps) {
    const sum = { requests: 0, writes: 0, bytes: 0, denied: 0, limited: 0, refused: 0, ...NO_TOKENS };
    for (const step of steps) {
        for (const name of Object.keys(sum)) if (name !== 'models') sum[name] += step[name];
    }
    const models =
        sum.prompt_tokens > 0
            ? {
                  'gpt-4o': {
                      requests: Math.round(sum.requests / 10),
                      prompt_tokens: sum.prompt_tokens,
                      completion_tokens: sum.completion_tokens,
                  },
              }
            : {};
    return { ...sum, models };
}

function usage(query) {
    const [step, count] = query.get('days') ? [DAY_S, Number(query.get('days'))] : [HOUR_S, Number(query.get('hours'))];
    const begin = Math.floor(Date.now() / 1000 / step) * step - (count - 1) * step;
    const clientUsage = (client, size, withTokens) => {
        const hours = Array.from({ length: count }, (_, index) => ({
            at: new Date((begin + index * step) * 1000).toISOString(),
            ...counts(index, size, withTokens),
        })).filter(({ requests }) => requests > 0);
        return { client, hours, total: total(hours) };
    };
    const clients = [
        clientUsage('nightly', 420, false),
        clientUsage('oidc:anna', 60, true),
        clientUsage('sweeper', 15, false),
    ].filter(({ client }) => !query.get('client') || query.get('client') === client);
    return { step, begin: new Date(begin * 1000).toISOString(), clients: state.empty ? [] : clients, next: null };
}

function entry(number, changes) {
    return {
        id: `17${number}-0`,
        at: ago(60 + number * 1700),
        client: 'oidc:anna',
        address: '10.0.3.17',
        action: 'DrainDeadLetters',
        method: 'POST',
        path: '/v1/dead-letters/replay',
        on: null,
        decision: 'allowed',
        status: 202,
        request_id: `27ea0c19a4${number}`,
        count: 1,
        ...changes,
    };
}

const ENTRIES = () => [
    entry(1, {}),
    entry(2, { action: 'ManageKeys', path: '/v1/keys/5f0c2a7d91/rotate', on: '5f0c2a7d91', status: 201 }),
    entry(3, {
        client: 'viewer',
        decision: 'denied',
        status: 403,
        count: 12,
        request_id: null,
        action: 'DiscardDeadLetter',
        method: 'DELETE',
        path: '/v1/dead-letters/0f0000099999.1',
        on: '0f0000099999.1',
    }),
    entry(4, { action: 'SignIn', path: '/v1/session', status: 200 }),
    entry(5, {
        client: 'unauthenticated',
        address: '192.0.2.7',
        action: 'SignIn',
        path: '/v1/session',
        decision: 'unauthenticated',
        status: 401,
    }),
    entry(6, {
        client: 'nightly',
        address: '10.0.8.2',
        action: 'LogBatch',
        path: '/api/2.0/mlflow/runs/log-batch',
        decision: 'rate_limited',
        status: 429,
        count: 340,
        request_id: null,
    }),
];

function audit(query) {
    const fields = ['client', 'action', 'decision', 'request_id'];
    const entries = state.empty ? [] : ENTRIES();
    return {
        entries: entries.filter((each) => fields.every((name) => !query.get(name) || each[name] === query.get(name))),
        next: query.get('cursor') || state.empty ? null : 'b2xkZXI',
    };
}

export const RECORD_CALLS = [
    ['GET', /^\/v1\/usage$/, (_, query) => ({ document: usage(query) })],
    ['GET', /^\/v1\/audit$/, (_, query) => ({ document: audit(query) })],
];
