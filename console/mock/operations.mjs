// SPDX-License-Identifier: Apache-2.0
// The calls of operations: the overview, runs, jobs, upstreams and workers.
import { gate, fails, overview, series } from './overview.mjs';
import { ago, jobs, state } from './state.mjs';

const RUN_ID = 'a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f';
const UPSTREAM_ID = '3f9c1a7be204';

Object.assign(state, { attempted: [] });

const UNAVAILABLE = { reason: 'unavailable', message: '503 Service Unavailable' };

function lane(name, changes) {
    return {
        lane: name,
        run_id: name.includes(':') ? null : name,
        run_name: null,
        client: 'nightly',
        pending: 120,
        bytes: 44_032,
        oldest_accepted_at: ago(360),
        lag: 360,
        delivering: false,
        attempts: 0,
        next_attempt_at: null,
        error: null,
        dead_letters: 0,
        state: 'waiting',
        ...changes,
    };
}

function lanes() {
    const failing = { attempts: 4, next_attempt_at: ago(-29), error: UNAVAILABLE, state: 'failing' };
    const denied = { reason: 'denied', message: 'AccessDeniedException: sagemaker-mlflow:LogMetric' };
    return [
        lane(RUN_ID, { run_name: 'nightly/17', dead_letters: 3, ...failing }),
        lane('run:nightly%2F18', { run_name: 'nightly/18', pending: 1, bytes: 410, oldest_accepted_at: ago(300) }),
        lane('b0c1c0de5b7e4c1f9d2e8a6b4c0d1e2f', {
            client: 'oidc:anna',
            pending: 4,
            bytes: 1800,
            oldest_accepted_at: ago(120),
            attempts: 1,
            error: denied,
            next_attempt_at: ago(-600),
            state: 'denied',
        }),
        lane('experiment:7', {
            pending: 2,
            bytes: 96,
            oldest_accepted_at: ago(3),
            delivering: true,
            state: 'delivering',
        }),
    ];
}

function laneList(query) {
    const [wanted, client, order] = ['state', 'client', 'order'].map((name) => query.get(name));
    const found = lanes().filter((each) => (!wanted || each.state === wanted) && (!client || each.client === client));
    if (order === 'newest') found.reverse();
    return { lanes: state.empty ? [] : found, next: query.get('cursor') ? null : 'b2xkZXI' };
}

const laneNamed = (name) => lanes().find((each) => each.lane === decodeURIComponent(name));

function upstream() {
    return {
        id: UPSTREAM_ID,
        name: 'arn:aws:sagemaker:eu-central-1:1234…9012:mlflow-tracking-server/research',
        kind: 'tracking-server',
        region: 'eu-central-1',
        gate: gate(),
        trips: 3,
        failures: 41,
        outcomes: { delivered: 4021, unavailable: 41, refused: 7, unknown: 1 },
    };
}

function failures() {
    return Array.from({ length: 6 }, (_, index) => ({
        at: ago(30 + index * 40),
        call: index === 3 ? 'POST runs/set-tag' : 'POST runs/log-batch',
        lane: RUN_ID,
        status: index === 4 ? null : [503, 503, 429, 400, 0, 503][index],
        error_code: [null, null, 'ThrottlingException', 'INVALID_PARAMETER_VALUE', null, null][index],
        outcome: ['unavailable', 'unavailable', 'unavailable', 'refused', 'unknown', 'unavailable'][index],
        duration: [0.21, 0.19, 0.05, 0.08, 30, 0.2][index],
        request_id: '27ea0c19',
        upstream_request_id: index === 4 ? null : '7f3ab0c4-51',
        message: [
            'Service Unavailable',
            'Service Unavailable',
            'Rate exceeded',
            'Changing param values is not allowed.',
            'No answer within 30 s.',
            'Service Unavailable',
        ][index],
    }));
}

const PROBE = () => ({
    reachable: !fails(),
    checks: [
        {
            name: 'credentials',
            ok: true,
            detail: 'The role arn:aws:iam::1234…9012:role/bridge, for 52 more minutes.',
            advice: null,
        },
        { name: 'address', ok: true, detail: 'eu-central-1.experiments.sagemaker.aws has 3 addresses.', advice: null },
        {
            name: 'answer',
            ok: !fails(),
            detail: fails() ? '503 Service Unavailable after 0.2 s.' : '200 after 0.08 s.',
            advice: fails() ? 'Start the tracking server, or wait for its maintenance to end.' : null,
        },
    ],
});

function worker(index, changes) {
    return {
        name: `ip-10-0-3-${index}:417`,
        host: `ip-10-0-3-${index}`,
        pid: 417,
        version: '0.2.0',
        started_at: ago(86_400),
        reported_at: new Date(Date.now() - 1000).toISOString(),
        concurrency: 8,
        delivering: 3,
        last_error: null,
        ...changes,
    };
}

function workers() {
    const error = { at: ago(240), text: 'ConnectionError: upstream closed the connection.' };
    return [worker(17, {}), worker(18, { version: '0.1.9', delivering: 0, last_error: error })];
}

const NOT_FOUND = { status: 404, problem: ['not-found', 'Not Found', 'There is no such thing.'] };
const AWAY = { status: 503, problem: ['store-unavailable', 'Service Unavailable', 'The store does not respond.'] };
const CREATED = (name) => (laneNamed(name) ? { status: 202, document: laneNamed(name) } : NOT_FOUND);

function jobsBy(query) {
    const wanted = query.get('request_id') ?? query.get('idempotency_key') ?? query.get('run_id') ?? query.get('lane');
    return { jobs: ['27ea0c19', 'upload-17', RUN_ID].includes(wanted) ? jobs() : [], next: null };
}

/** Each call: method, pattern of its path, and what it answers to the match, the query and the body. */
export const OPERATIONS = [
    ['GET', /^\/v1\/overview$/, () => (state.overview === 'away' ? AWAY : { document: overview() })],
    [
        'GET',
        /^\/v1\/series$/,
        (_, query) => ({ document: series(query.get('names').split(','), Number(query.get('minutes') ?? 60)) }),
    ],
    ['GET', /^\/v1\/lanes$/, (_, query) => ({ document: laneList(query) })],
    ['GET', /^\/v1\/lanes\/([^/]+)$/, ([, name]) => (laneNamed(name) ? { document: laneNamed(name) } : NOT_FOUND)],
    [
        'POST',
        /^\/v1\/lanes\/([^/]+)\/attempt$/,
        ([, name]) => {
            state.attempted.push(decodeURIComponent(name));
            return CREATED(name);
        },
    ],
    [
        'POST',
        /^\/v1\/jobs\/lookup$/,
        (_, _query, body) => ({
            document: { jobs: body.job_ids.map((id) => jobs().find(({ job_id }) => job_id === id) ?? null) },
        }),
    ],
    [
        'GET',
        /^\/v1\/jobs$/,
        (_, query) => ({
            document: query.get('mine') ? { jobs: state.empty ? [] : jobs(), next: null } : jobsBy(query),
        }),
    ],
    ['GET', /^\/v1\/workers$/, () => ({ document: { workers: state.empty ? [] : workers() } })],
    ['GET', /^\/v1\/upstreams$/, () => ({ document: { upstreams: [upstream()] } })],
    [
        'GET',
        /^\/v1\/upstreams\/\w+\/failures$/,
        () => ({ document: { failures: state.empty ? [] : failures(), next: null } }),
    ],
    ['POST', /^\/v1\/upstreams\/\w+\/probe$/, () => ({ document: PROBE() })],
    [
        'PUT',
        /^\/v1\/upstreams\/\w+\/pause$/,
        (_, _query, body) => {
            state.pause = body.paused ? { why: body.why, until: body.until ?? null } : null;
            return { document: upstream() };
        },
    ],
];
