// SPDX-License-Identifier: Apache-2.0
// How the imitated bridge is doing: the answers of `GET /v1/overview` and `GET /v1/series`.
import { ago, state } from './state.mjs';

/** `delivering`, `idle`, `degraded`, or `unavailable`; `away` answers 503. `pause` has who paused it and why. */
Object.assign(state, { overview: 'delivering', pause: null });

export const fails = () => state.overview === 'degraded' && !state.pause;

const GATE = {
    breaker: 'closed',
    why: null,
    since: null,
    opens_again_at: null,
    rate: 25,
    burst: 50,
    bucket: 31.5,
    delivered_at: ago(2),
    paused: null,
};

const FAILING_GATE = {
    ...GATE,
    breaker: 'open',
    why: 'Upstream answers 503.',
    since: ago(240),
    bucket: 50,
    delivered_at: ago(245),
};

export function gate() {
    if (state.pause) return { ...GATE, paused: { ...state.pause, by: 'Anna', since: ago(60) } };
    // Counted from now: a moment fixed at the start of the server would be over before a late check.
    return fails() ? { ...FAILING_GATE, opens_again_at: ago(-29) } : GATE;
}

const DELIVERING = {
    status: 'delivering',
    why: [],
    backlog: {
        lanes: 12,
        writes: 4130,
        pending_bytes: 910_113,
        dead_bytes: 2048,
        oldest_accepted_at: ago(4),
        oldest_due: null,
        horizon_at: ago(4 - 72 * 3600),
    },
    dead_letters: { count: 7, last_hour: 2 },
    rates: { window: 60, accepted: 12.5, delivered: 11.9, buried: 0, refused: 0.2, calls: 3.1 },
    lag: { p50: 0.12, p95: 0.9 },
    workers: { alive: 2, delivering: 3, versions: ['0.2.0'] },
    store: { durability: 'fsync-always', used: 2_958_161, cap: 2_147_483_648, faults: [] },
    drains: [{ drain_id: 'dr1', action: 'replay', done: 325, total: 812, rate: 20, ordered_by: 'oidc:anna' }],
};

const OVERVIEWS = {
    delivering: DELIVERING,
    idle: {
        ...DELIVERING,
        status: 'idle',
        backlog: {
            lanes: 0,
            writes: 0,
            pending_bytes: 0,
            dead_bytes: 0,
            oldest_accepted_at: null,
            oldest_due: null,
            horizon_at: null,
        },
        dead_letters: { count: 0, last_hour: 0 },
        rates: { window: 60, accepted: 0, delivered: 0, buried: 0, refused: 0, calls: 0 },
        lag: { p50: null, p95: null },
        workers: { alive: 2, delivering: 0, versions: ['0.2.0'] },
        drains: [],
    },
    degraded: {
        ...DELIVERING,
        status: 'degraded',
        why: [
            {
                code: 'breaker-open',
                since: ago(240),
                text: 'Upstream answers 503.',
                next: 'The next call is tried in 29 seconds.',
                runbook: '#upstream-is-down-stopped-or-in-maintenance',
            },
            {
                code: 'stalled',
                since: ago(200),
                text: 'The oldest write waits for 4 minutes.',
                next: null,
                runbook: '#no-worker-delivers',
            },
        ],
        backlog: {
            ...DELIVERING.backlog,
            oldest_accepted_at: ago(240),
            oldest_due: ago(240),
            horizon_at: ago(240 - 72 * 3600),
        },
        rates: { ...DELIVERING.rates, delivered: 0, calls: 0 },
        workers: { alive: 2, delivering: 0, versions: ['0.2.0', '0.1.9'] },
    },
    unavailable: {
        ...DELIVERING,
        status: 'unavailable',
        why: [
            {
                code: 'store-full',
                since: ago(30),
                text: 'The store is full: 2.0 GiB of 2.0 GiB are used.',
                next: 'Writes are accepted again when deliveries have freed memory.',
                runbook: '#clients-receive-503-the-store-is-nearly-full',
            },
        ],
        workers: { alive: 0, delivering: 0, versions: [] },
        store: { ...DELIVERING.store, used: 2_147_483_648, faults: ['The store is full.'] },
    },
};

export function overview() {
    const document = { ...OVERVIEWS[state.overview], gate: gate() };
    if (!state.pause) return document;
    const text = `Anna has paused deliveries: ${state.pause.why}`;
    const why = [{ code: 'paused', since: ago(60), text, next: null, runbook: '#no-worker-delivers' }];
    return { ...document, status: 'paused', why };
}

const wave = (minute) => 700 + Math.round(180 * Math.sin(minute / 5));

export function series(names, minutes) {
    const values = (of) => Array.from({ length: minutes }, (_, minute) => (minute === 7 ? null : of(minute)));
    const failing = (minute) => fails() && minute > minutes - 6;
    const counter = (of) => ({ kind: 'counter', values: values(of) });
    const gauge = (of) => ({ kind: 'gauge', values: values(of) });
    const all = {
        writes_accepted: counter(wave),
        writes_delivered: counter((minute) => (failing(minute) ? 0 : wave(minute - 1))),
        writes_dead_lettered: counter((minute) => (minute % 17 === 0 ? 60 : 0)),
        requests_rejected: counter((minute) => (minute % 9 === 0 ? 12 : 0)),
        upstream_calls: counter((minute) => (failing(minute) ? 4 : 180)),
        delivery_lag_seconds: {
            kind: 'histogram',
            p50: values((minute) => (failing(minute) ? null : 0.12)),
            p95: values((minute) => (failing(minute) ? null : 0.9 + 0.3 * Math.sin(minute / 3))),
        },
        oldest_pending_seconds: gauge((minute) => (failing(minute) ? 60 * (minute - minutes + 6) : 0.4)),
        breaker_open: gauge((minute) => (failing(minute) ? 1 : 0)),
        pending_writes: gauge((minute) => (failing(minute) ? 700 * (minute - minutes + 6) : 9)),
    };
    const named = names.map((name) => [name, all[name]]);
    return { step: 60, begin: ago(minutes * 60), partial: true, series: Object.fromEntries(named) };
}
