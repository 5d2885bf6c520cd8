// SPDX-License-Identifier: Apache-2.0
// The calls about dead letters: 1,204 of four causes.
import { ago, letters as ownLetters, state } from './state.mjs';

const RUN_ID = 'a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f';
const PAGE_LIMIT = 100;

/** `letterCount`: how many letters there are. `gone`: those that were replayed or discarded. */
Object.assign(state, { letterCount: 1204, gone: [], conflicts: 'tag' });

const CAUSES = [
    {
        every: 61,
        reason: 'expired',
        op: 'log-metric',
        error_code: null,
        status: null,
        client: 'nightly',
        message: 'It waited for 72 hours. Upstream was away.',
    },
    {
        every: 200,
        reason: 'denied',
        op: 'set-tag',
        error_code: 'AccessDeniedException',
        status: 403,
        client: 'oidc:anna',
        message: 'User is not authorized to perform: sagemaker-mlflow:SetTag.',
    },
    {
        every: 97,
        reason: 'refused',
        op: 'log-batch',
        error_code: 'RESOURCE_DOES_NOT_EXIST',
        status: 404,
        client: 'sweeper',
        message:
            'Run with id=b0c1c0de5b7e4c1f9d2e8a6b4c0d1e2f not found. It was deleted, or it never was on this server.',
    },
    {
        every: 1,
        reason: 'refused',
        op: 'log-parameter',
        error_code: 'INVALID_PARAMETER_VALUE',
        status: 400,
        client: 'nightly',
        message:
            "Changing param values is not allowed. Param with key='lr' was already logged with value='0.1' for run ID='a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f'. Attempted logging new value '0.01'.",
    },
];

/** Returns a letter; the newest has the number 0. */
function letterOf(number) {
    const { every: _every, ...cause } = CAUSES.find(({ every }) => (number + 1) % every === 0);
    return {
        letter_id: `0f${String(100_000 - number).padStart(10, '0')}.1`,
        job_id: `AQABAAAAAAA${number}`,
        lane: RUN_ID,
        run_id: RUN_ID,
        request_id: '27ea0c19',
        accepted_at: ago(400 + number * 31),
        buried_at: ago(200 + number * 31),
        ...cause,
    };
}

function all() {
    const count = state.empty ? 0 : state.letterCount;
    // What comes meanwhile is newer than all before.
    const shift = Math.max(0, count - 1204);
    return Array.from({ length: count }, (_, index) => letterOf(index - shift)).filter(
        ({ letter_id: id }) => !state.gone.includes(id),
    );
}

const FIELDS = ['reason', 'op', 'error_code', 'client', 'run_id', 'lane'];

export function matching(filter) {
    return all().filter(
        (letter) =>
            FIELDS.every((name) => !filter[name] || letter[name] === filter[name]) &&
            (!filter.since || letter.buried_at >= filter.since) &&
            (!filter.until || letter.buried_at < filter.until),
    );
}

function page(query) {
    // The portal's own page asks without an order.
    if (!query.get('order')) return { letters: state.empty ? [] : ownLetters(), next: null };
    const found = matching(Object.fromEntries(query));
    if (query.get('order') === 'oldest') found.reverse();
    const begin = Number(query.get('cursor') ?? 0);
    const end = begin + Number(query.get('limit') ?? PAGE_LIMIT);
    return { letters: found.slice(begin, end), next: end < found.length ? String(end) : null };
}

function summary(query) {
    const found = matching(Object.fromEntries(query));
    const groups = new Map();
    for (const letter of found) {
        const key = [letter.reason, letter.op, letter.error_code, letter.message].join('|');
        const group = groups.get(key) ?? { ...letter, count: 0, last: letter.buried_at, sample: letter.letter_id };
        groups.set(key, { ...group, count: group.count + 1, first: letter.buried_at });
    }
    const listed = [...groups.values()].toSorted((one, other) => other.count - one.count);
    return {
        count: found.length,
        by_reason: counts(found, 'reason'),
        by_client: counts(found, 'client'),
        groups: listed.map(({ reason, op, error_code, message, count, first, last, sample }) => ({
            reason,
            op,
            error_code,
            message,
            count,
            first,
            last,
            sample,
        })),
        sampled: false,
    };
}

function counts(letters, field) {
    const result = {};
    for (const letter of letters) result[letter[field]] = (result[letter[field]] ?? 0) + 1;
    return result;
}

function whole(letter) {
    const value = letter.op === 'log-metric' ? '"value":0.10,"step":9223372036854775807' : '"value":"0.01"';
    const body = `{"run_id":"${RUN_ID}","key":"it's lr",${value},"timestamp":1764425000123}`;
    const answer = { reason: letter.reason, message: letter.message, status: letter.status };
    return {
        ...letter,
        write: {
            path: `/api/2.0/mlflow/runs/${letter.op}`,
            body: JSON.parse(body),
            body_text: body,
            workspace: null,
            base64: null,
        },
        attempt_count: 2,
        attempts: [
            { at: ago(260), writes: 40, error_code: letter.error_code, ...answer },
            { at: letter.buried_at, writes: 1, error_code: letter.error_code, ...answer },
        ],
        upstream: letter.status && {
            status: letter.status,
            error_code: letter.error_code,
            message: letter.message,
            request_id: '7f3ab0c4-51',
        },
        trail: { request_id: '27ea0c19', job_id: letter.job_id, upstream_request_id: '7f3ab0c4-51' },
    };
}

function conflicts() {
    if (state.conflicts === 'unknown') {
        return { later_writes: 3, overwrites: [], checked: false, why: 'MLflow does not answer.' };
    }
    const overwrites = [{ kind: 'tag', key: 'team', stored: 'b', letter: 'a' }];
    return { later_writes: 3, overwrites: state.conflicts === 'tag' ? overwrites : [], checked: true, why: null };
}

export const NOT_FOUND = {
    status: 404,
    problem: ['not-found', 'Not Found', 'The dead letter does not exist (any more).'],
};

const found = (id) => all().find((letter) => letter.letter_id === id);

export function settle(id) {
    const letter = found(id);
    if (letter) state.gone.push(id);
    return letter;
}

export function replayed(id) {
    const letter = settle(id);
    return letter ? { letter_id: id, job_id: `AQABnew${id.slice(-6)}`, lane: RUN_ID, run_id: RUN_ID } : null;
}

const LETTER = /^\/v1\/dead-letters\/(0f[\w.]+)$/;

export const DEAD_LETTERS = [
    ['GET', /^\/v1\/dead-letters$/, (_, query) => ({ document: page(query) })],
    ['GET', /^\/v1\/dead-letters\/summary$/, (_, query) => ({ document: summary(query) })],
    ['GET', LETTER, ([, id]) => (found(id) ? { document: whole(found(id)) } : NOT_FOUND)],
    [
        'POST',
        /^\/v1\/dead-letters\/(0f[\w.]+)\/replay$/,
        ([, id]) => {
            const document = replayed(id);
            return document ? { status: 202, document } : NOT_FOUND;
        },
    ],
    ['DELETE', LETTER, ([, id]) => (settle(id) ? { status: 204 } : NOT_FOUND)],
    ['GET', /^\/v1\/dead-letters\/(0f[\w.]+)\/conflicts$/, () => ({ document: conflicts() })],
];
