// SPDX-License-Identifier: Apache-2.0
// The calls about clients and their keys.
import { ACTIONS, ago, state } from './state.mjs';

/** `signInAgain`: whether the sign-in is too old for what makes or ends keys. `clientVersion` is part of each etag. */
Object.assign(state, { signInAgain: false, clientVersion: 1, clients: {}, keys: {} });

const NONE = { requests: null, writes: null, bytes: null, pending: null, tokens_per_day: null };

const CLIENTS = [
    {
        name: 'nightly',
        kind: 'key',
        scopes: ['write', 'read'],
        allow: ['DeleteRun'],
        deny: ['SetTag'],
        experiments: ['7', '12'],
        quota: { ...NONE, requests: 25, pending: 104_857_600, tokens_per_day: 100_000 },
        levels: { requests: 0.12, writes: 1 },
        pending_bytes: 44_032,
        pending_limit: 268_435_456,
        dead_letters: 1185,
        keys: 2,
        last_seen_at: ago(3),
    },
    {
        name: 'oidc:anna',
        kind: 'oidc',
        scopes: ['write', 'read', 'admin'],
        allow: [],
        deny: [],
        experiments: null,
        quota: NONE,
        levels: null,
        pending_bytes: 0,
        pending_limit: 268_435_456,
        dead_letters: 6,
        keys: 0,
        last_seen_at: null,
    },
    {
        name: 'sweeper',
        kind: 'sigv4',
        scopes: ['write'],
        allow: [],
        deny: [],
        experiments: null,
        quota: NONE,
        levels: { requests: 0.97 },
        pending_bytes: 0,
        pending_limit: 268_435_456,
        dead_letters: 12,
        keys: 1,
        last_seen_at: ago(7200),
    },
];

const etagOf = (name) => `"${name.length}-${state.clientVersion}"`;

/** Returns a client as it is stored now; one that was created here begins with what a new one has. */
function documentOf(name) {
    const first = CLIENTS.find((each) => each.name === name) ?? {
        ...CLIENTS[2],
        name,
        kind: 'key',
        keys: 0,
        dead_letters: 0,
        last_seen_at: null,
    };
    return { ...first, ...state.clients[name], etag: etagOf(name) };
}

const documents = () =>
    [...new Set([...CLIENTS.map(({ name }) => name), ...Object.keys(state.clients)])].map(documentOf);

const named = (name) => documents().find((each) => each.name === decodeURIComponent(name));

const NOT_FOUND = { status: 404, problem: ['not-found', 'Not Found', 'There is no such client.'] };
const AGAIN = {
    status: 401,
    problem: ['sign-in-again', 'Unauthorized', 'This needs a sign-in of the last 15 minutes.'],
};
const CHANGED = {
    status: 412,
    problem: ['precondition-failed', 'Precondition Failed', 'It has changed since it was read. Read it again.'],
};

function put(name, body, headers) {
    const was = named(name);
    const isCurrent = was ? headers['if-match'] === was.etag : headers['if-none-match'] === '*';
    if (!isCurrent) return CHANGED;
    state.clients[decodeURIComponent(name)] = body;
    state.clientVersion += 1;
    return { status: was ? 200 : 201, document: named(name) };
}

const KEYS = [
    {
        key_id: '5f0c2a7d91',
        client: 'nightly',
        kind: 'bearer',
        created_at: ago(86_400 * 30),
        expires_at: ago(-86_400 * 60),
        last_used_at: ago(3),
    },
    {
        key_id: 'MBKA5F0C2A7D91',
        client: 'nightly',
        kind: 'sigv4',
        created_at: ago(86_400),
        expires_at: null,
        last_used_at: null,
    },
];

function keysOf(client) {
    const all = [...KEYS, ...Object.values(state.keys)];
    return all.filter((key) => (!client || key.client === client) && !state.gone.includes(key.key_id));
}

function newKey(client, { kind = 'bearer', expires_at: ends = null }) {
    if (state.signInAgain) return AGAIN;
    const key = {
        key_id: kind === 'sigv4' ? 'MBKANEW0000001' : 'newkey0001',
        client,
        kind,
        created_at: new Date().toISOString(),
        expires_at: ends,
        last_used_at: null,
    };
    state.keys[key.key_id] = key;
    const secret = kind === 'sigv4' ? 'k9WcO2yq8Zs4Vt1LpX7nB3mR6dF0hJ5gAeUiQ' : 'mbk_newkey0001_k9WcO2yq8Zs4Vt1LpX7n';
    return { status: 201, document: { ...key, secret }, headers: { 'Cache-Control': 'no-store' } };
}

function revoked(keyId) {
    if (state.signInAgain) return AGAIN;
    state.gone.push(keyId);
    return { status: 204 };
}

function permission(name, query) {
    const { scopes, allow, deny, experiments } = named(name);
    const [action, experiment] = [query.get('action'), query.get('experiment_id')];
    if (deny.includes(action)) return { allowed: false, because: 'denied by name' };
    if (experiment && experiments && !experiments.includes(experiment)) {
        return { allowed: false, because: `limited to the experiments ${experiments.join(', ')}` };
    }
    if (allow.includes(action)) return { allowed: true, because: 'allowed by name' };
    const { scope = null } = actions().find((each) => each.action === action) ?? {};
    if (scopes.includes('admin')) return { allowed: true, because: 'scope admin' };
    return scopes.includes(scope)
        ? { allowed: true, because: `scope ${scope}` }
        : { allowed: false, because: 'neither a scope nor a name allows it' };
}

const MLFLOW = [
    ['CreateRun', 'write'],
    ['DeleteRun', null],
    ['GetRun', 'read'],
    ['LogBatch', 'write'],
    ['LogMetric', 'write'],
    ['SetTag', 'write'],
];

const actions = () => [
    ...MLFLOW.map(([action, scope]) => ({ action, scope, of: 'mlflow' })),
    ...ACTIONS.filter((action) => !MLFLOW.some(([each]) => each === action)).map((action) => ({
        action,
        scope: null,
        of: 'bridge',
    })),
];

const CLIENT = /^\/v1\/clients\/([^/]+)$/;

export const CLIENT_CALLS = [
    ['GET', /^\/v1\/clients$/, () => ({ document: { clients: state.empty ? [] : documents(), next: null } })],
    ['GET', CLIENT, ([, name]) => (named(name) ? { document: named(name) } : NOT_FOUND)],
    ['PUT', CLIENT, ([, name], _query, body, headers) => put(name, body, headers)],
    ['GET', /^\/v1\/clients\/([^/]+)\/permission$/, ([, name], query) => ({ document: permission(name, query) })],
    ['POST', /^\/v1\/clients\/([^/]+)\/keys$/, ([, name], _query, body) => newKey(decodeURIComponent(name), body)],
    ['GET', /^\/v1\/keys$/, (_, query) => ({ document: { keys: keysOf(query.get('client')) } })],
    [
        'POST',
        /^\/v1\/keys\/([^/]+)\/rotate$/,
        ([, keyId]) => newKey('nightly', { kind: keyId.startsWith('MBKA') ? 'sigv4' : 'bearer' }),
    ],
    ['DELETE', /^\/v1\/keys\/([^/]+)$/, ([, keyId]) => revoked(keyId)],
    ['GET', /^\/v1\/actions$/, () => ({ document: { actions: actions() } })],
];
