// SPDX-License-Identifier: Apache-2.0
// What the stand-in for the bridge knows. Tests and people change it with `POST /mock`.

/** What an operator may do. */
export const ACTIONS = [
    'GetRun',
    'GetJob',
    'GetDeadLetter',
    'ReplayDeadLetter',
    'DiscardDeadLetter',
    'DrainDeadLetters',
    'GetBacklog',
    'GetMetrics',
    'AttemptLane',
    'GetClient',
    'ManageClients',
    'ManageKeys',
    'GetUsage',
    'GetWorkers',
    'GetUpstream',
    'ManageUpstream',
    'GetAudit',
    'GetMetricHistory',
    'SearchRuns',
];
const NOW = Date.now();
const RUN_ID = 'a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f';

export const ago = (seconds) => new Date(NOW - seconds * 1000).toISOString().replace(/\.\d+Z/, 'Z');

export const state = {
    signedIn: true,
    client: 'oidc:anna',
    display: 'Anna',
    via: 'oidc',
    actions: ACTIONS,
    experiments: null,
    readOnly: false,
    label: 'staging',
    signIn: { key: true, oidc: true },
    /** `current`, `behind` or `stopped`. */
    backlog: 'behind',
    empty: false,
    /** Whether MLflow answers nothing. */
    mlflowIsDown: false,
    /** Whether each call but `/app` breaks off. */
    unreachable: false,
    /** Paths that are answered with 403. */
    denied: [],
    replayed: [],
    /** How often 304 was answered. */
    unchanged: 0,
};

export function session() {
    const { signedIn, client, display, via, actions, experiments, readOnly, label, signIn } = state;
    const installation = { version: '0.2.0', label, sign_in: signIn };
    if (!signedIn) return { signed_in: false, ...installation };
    return {
        signed_in: true,
        client,
        display,
        via,
        scopes: actions.includes('ManageClients') ? ['read', 'write', 'admin'] : ['read', 'write'],
        actions,
        experiments,
        signed_in_at: ago(600),
        ends_at: via === 'none' ? null : ago(-8 * 3600),
        read_only: readOnly,
        console_host: null,
        ...installation,
    };
}

export function ownBacklog() {
    const upstream = { delivering: true, reason: null, since: null, next_attempt_at: null };
    if (state.backlog === 'current') return { writes: 0, lanes: 0, bytes: 0, oldest_accepted_at: null, upstream };
    const stopped = state.backlog === 'stopped';
    return {
        writes: 120,
        lanes: 3,
        bytes: 40_960,
        oldest_accepted_at: ago(240),
        upstream: {
            delivering: !stopped,
            reason: stopped ? 'breaker-open' : 'throttled',
            since: ago(235),
            next_attempt_at: ago(-160),
        },
    };
}

export function jobs() {
    const error = { reason: 'unavailable', message: 'ThrottlingException: Rate exceeded' };
    return [
        job('AQABAAAAAAAx1', { attempts: 4, error }),
        job('AQABAAAAAAAx2', {}),
        job('AQABAAAAAAAx3', { op: 'log-batch' }),
    ];
}

function job(job_id, changes) {
    return {
        job_id,
        status: 'pending',
        lane: RUN_ID,
        run_id: RUN_ID,
        op: 'log-metric',
        accepted_at: ago(240),
        settled_at: null,
        attempts: 0,
        next_attempt_at: ago(-160),
        error: null,
        upstream: null,
        ...changes,
    };
}

export function letters() {
    const all = [
        letter('0000000000d1', {}),
        letter('0000000000d2', { reason: 'expired', op: 'log-metric', message: '' }),
    ];
    return all.filter(({ letter_id }) => !state.replayed.includes(letter_id));
}

function letter(letter_id, changes) {
    return {
        letter_id,
        job_id: `AQAB${letter_id}`,
        lane: RUN_ID,
        run_id: RUN_ID,
        op: 'log-parameter',
        client: state.client,
        request_id: '27ea0c',
        reason: 'refused',
        message: 'Changing param values is not allowed. Param with key=lr was already logged with value=0.1.',
        status: 400,
        accepted_at: ago(7200),
        buried_at: ago(7190),
        ...changes,
    };
}

/** Returns the answer of one of MLflow's calls that the pages for limited clients make. */
export function mlflow(path, query) {
    if (path.endsWith('/experiments/get')) {
        const experiment_id = query.get('experiment_id');
        return {
            experiment: {
                experiment_id,
                name: `nightly-${experiment_id}`,
                lifecycle_stage: 'active',
                last_update_time: NOW,
            },
        };
    }
    if (path.endsWith('/runs/search')) return { runs: state.empty ? [] : [run('FINISHED'), run('RUNNING')] };
    if (path.endsWith('/runs/get')) return { run: run('FINISHED') };
    return { metrics: history(query.get('metric_key')) };
}

function history(key) {
    return Array.from({ length: 200 }, (_, step) => ({
        key,
        value: step === 100 ? 'NaN' : Math.exp(-step / 60) + 0.05 * Math.sin(step / 4),
        timestamp: NOW - (200 - step) * 1000,
        step,
    }));
}

function run(status) {
    return {
        info: {
            run_id: status === 'RUNNING' ? `${RUN_ID.slice(0, -1)}0` : RUN_ID,
            run_name: status === 'RUNNING' ? 'nightly/18' : 'nightly/17',
            experiment_id: '7',
            status,
            start_time: NOW - 3_600_000,
            ...(status === 'FINISHED' && { end_time: NOW - 60_000 }),
        },
        data: {
            metrics: [
                { key: 'loss', value: 0.036, timestamp: NOW, step: 199 },
                { key: 'accuracy', value: 0.97, timestamp: NOW, step: '9223372036854775807' },
            ],
            params: [
                { key: 'lr', value: '0.1' },
                { key: 'optimizer', value: 'adam' },
            ],
            tags: [
                { key: 'mlflow.runName', value: 'nightly/17' },
                { key: 'team', value: 'vision' },
            ],
        },
    };
}
