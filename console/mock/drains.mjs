// SPDX-License-Identifier: Apache-2.0
// The calls that order a replay or a discard of many letters, and the drains that these begin.
import { matching, NOT_FOUND, replayed, settle } from './deadLetters.mjs';
import { ago, state } from './state.mjs';

/** Drains that were ordered here, the newest first. */
Object.assign(state, { drains: [] });

/** Answers an order: by ids at once, by a filter as a drain that a count guards. */
function order(action, { letter_ids: ids, filter, rate = null, dry_run: dryRun, count }) {
    if (ids)
        return { document: { results: ids.map((id) => (action === 'replay' ? replayed(id) : Boolean(settle(id)))) } };
    const selected = matching(filter);
    if (dryRun) return { document: { count: selected.length } };
    if (count !== undefined && count !== selected.length) return changed(action, selected.length);
    const drain = {
        drain_id: `dr${state.drains.length + 1}`,
        action,
        filter,
        rate,
        ids: selected.map(({ letter_id: id }) => id),
        total: selected.length,
        done: 0,
        skipped: 0,
        state: 'running',
        began_at: new Date().toISOString(),
        finished_at: null,
        ordered_by: state.client,
        lookedAt: Date.now(),
    };
    state.drains.unshift(drain);
    return { status: 202, document: shown(drain) };
}

function changed(action, count) {
    const detail = `This would ${action} ${count} dead letters. To do so, send the same with "count": ${count}.`;
    return { status: 409, problem: ['conflict', 'Conflict', detail, { count }] };
}

/** Returns a drain as it is now: it has gone on since it was looked at last. */
function shown(drain) {
    if (drain.state === 'running') {
        const seconds = (Date.now() - drain.lookedAt) / 1000;
        const step = drain.rate === null ? drain.total : Math.floor(seconds * drain.rate);
        if (step > 0) drain.lookedAt = Date.now();
        state.gone.push(...drain.ids.slice(drain.done, drain.done + step));
        drain.done = Math.min(drain.total, drain.done + step);
        if (drain.done === drain.total)
            Object.assign(drain, { state: 'finished', finished_at: new Date().toISOString() });
    }
    const { ids: _ids, lookedAt: _lookedAt, ...document } = drain;
    return document;
}

const drainOf = (id) => state.drains.find(({ drain_id: each }) => each === id);

const PAST = () => [
    {
        drain_id: 'dr-a91c3350',
        action: 'replay',
        filter: { reason: 'expired', since: ago(90_000) },
        rate: 20,
        state: 'finished',
        total: 312,
        done: 312,
        skipped: 2,
        began_at: ago(80_000),
        finished_at: ago(79_980),
        ordered_by: 'oidc:anna',
    },
    {
        drain_id: 'dr-04bb7d1e',
        action: 'discard',
        filter: {},
        rate: null,
        state: 'cancelled',
        total: 90,
        done: 41,
        skipped: 0,
        began_at: ago(170_000),
        finished_at: ago(169_995),
        ordered_by: 'night-shift',
    },
];

const drains = (wanted) =>
    [...state.drains.map(shown), ...(state.empty ? [] : PAST())].filter((each) => !wanted || each.state === wanted);

function cancelled(id) {
    const drain = drainOf(id);
    if (!drain || drain.state !== 'running') return NOT_FOUND;
    shown(drain);
    Object.assign(drain, { state: 'cancelled', finished_at: new Date().toISOString() });
    return { status: 204 };
}

const DRAIN = /^\/v1\/dead-letters\/drains\/([\w-]+)$/;

export const DRAINS = [
    ['GET', /^\/v1\/dead-letters\/drains$/, (_, query) => ({ document: { drains: drains(query.get('state')) } })],
    ['GET', DRAIN, ([, id]) => (drainOf(id) ? { document: shown(drainOf(id)) } : NOT_FOUND)],
    [
        'PATCH',
        DRAIN,
        ([, id], _query, { rate }) => {
            shown(drainOf(id));
            drainOf(id).rate = rate;
            return { document: shown(drainOf(id)) };
        },
    ],
    ['DELETE', DRAIN, ([, id]) => cancelled(id)],
    ['POST', /^\/v1\/dead-letters\/(replay|discard)$/, ([, action], _query, body) => order(action, body)],
];
