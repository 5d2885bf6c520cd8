// SPDX-License-Identifier: Apache-2.0
// A stand-in for the bridge, for work on the pages and for `scripts/check-pages.mjs`.
//
// Serves the build at `/app` with the headers of the api, and answers the portal's calls. `MLFLOW_URL` names a real
// MLflow server for the frame; without it the frame shows a page that only imitates MLflow's navigation.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { CLIENT_CALLS } from './clients.mjs';
import { DEAD_LETTERS } from './deadLetters.mjs';
import { DRAINS } from './drains.mjs';
import { OPENAPI } from './openapi.mjs';
import { OPERATIONS } from './operations.mjs';
import { RECORD_CALLS } from './records.mjs';
import { ago, jobs, letters, mlflow, ownBacklog, session, state } from './state.mjs';

const PORT = Number(process.env.PORT ?? 8090);
const BUILD = process.env.CONSOLE_OUTPUT ?? fileURLToPath(new URL('../../api/console', import.meta.url));
const MLFLOW_URL = process.env.MLFLOW_URL;

const APP_POLICY =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; " +
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'";
const FRAME_POLICY =
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-src 'self' blob:; object-src 'none'; " +
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'";

const TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript',
    '.css': 'text/css',
    '.svg': 'image/svg+xml',
    '.woff2': 'font/woff2',
};

function send(response, status, document, headers = {}) {
    const body = document === undefined ? '' : JSON.stringify(document);
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`;
    const fields = {
        'Content-Type': 'application/json',
        'Cache-Control': 'no-cache',
        ETag: etag,
        'X-Request-Id': '27ea0c19',
        ...headers,
    };
    const unchanged = status === 200 && response.req.headers['if-none-match'] === etag;
    if (unchanged) state.unchanged += 1;
    response.writeHead(unchanged ? 304 : status, fields);
    response.end(unchanged || status === 204 ? '' : body);
}

function problem(response, status, type, title, detail, members = {}) {
    const document = { type: `urn:mlflow-bridge:problem:${type}`, title, status, detail, ...members };
    send(response, status, document, { 'Content-Type': 'application/problem+json' });
}

/** The routes of the portal: method and path, without parameters in the path. */
const ROUTES = {
    'GET /v1/session': (_, response) => send(response, 200, session()),
    'POST /v1/session': signIn,
    'DELETE /v1/session': (_, response) => {
        state.signedIn = false;
        send(response, 200, { end_session_url: null });
    },
    'GET /v1/backlog/mine': (_, response) => send(response, 200, ownBacklog()),
    'GET /v1/keys/mine': (_, response) => send(response, 200, { keys: state.empty ? [] : keys() }),
    'GET /v1/backlog': (_, response) =>
        send(response, 200, {
            lanes: 12,
            bytes: 910_113,
            dead_letters: 7,
            oldest_due: ago(20),
            oldest_accepted_at: ago(240),
        }),
    'GET /openapi.json': (_, response) => send(response, 200, OPENAPI),
    'GET /readyz': (_, response) =>
        send(response, 200, {
            status: 'degraded',
            store: { reachable: true, durability: 'fsync-always' },
            workers: { alive: 2 },
        }),
};

function keys() {
    return [
        {
            key_id: 'mk_5f0c2a7d91',
            kind: 'bearer',
            created_at: ago(86_400 * 30),
            expires_at: ago(-86_400 * 60),
            last_used_at: ago(30),
        },
        { key_id: 'MBKA5F0C2A7D91', kind: 'sigv4', created_at: ago(86_400), expires_at: null, last_used_at: null },
    ];
}

async function signIn(request, response) {
    const { key } = JSON.parse(await bodyOf(request));
    if (!key.startsWith('mbk_')) return problem(response, 401, 'invalid-credentials', 'Unauthorized', 'No such key.');
    state.signedIn = true;
    send(response, 200, session());
}

function letterRoute(method, path, response) {
    const [letterId, replay] = path.slice('/v1/dead-letters/'.length).split('/');
    const letter = letters().find(({ letter_id }) => letter_id === letterId);
    if (!letter) return problem(response, 404, 'not-found', 'Not Found', 'There is no such dead letter (any more).');
    if (method === 'POST' && replay) {
        state.replayed.push(letterId);
        return send(response, 202, { job_id: 'AQABnew' });
    }
    // A step that a JavaScript number would round.
    const write = `{"method":"POST","path":"/api/2.0/mlflow/runs/log-metric","body":{"step":9223372036854775807}}`;
    const document = { ...letter, attempt_count: 1, attempts: [{ at: letter.buried_at, status: 400 }], upstream: null };
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(`${JSON.stringify(document).slice(0, -1)},"write":${write}}`);
}

async function jsonOf(request) {
    const body = await bodyOf(request);
    return body ? JSON.parse(body) : null;
}

async function bodyOf(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
}

async function staticFile(path, response) {
    const name = path.startsWith('/app/assets/') ? normalize(path.slice('/app/'.length)) : 'index.html';
    try {
        const content = await readFile(join(BUILD, name));
        response.writeHead(200, {
            'Content-Type': TYPES[extname(name)] ?? 'text/plain',
            'Content-Security-Policy': APP_POLICY,
            'Cross-Origin-Opener-Policy': 'same-origin',
            'Referrer-Policy': 'same-origin',
        });
        response.end(content);
    } catch {
        problem(response, 404, 'not-found', 'Not Found', 'There is no such file.');
    }
}

/** What anybody may ask for. */
const OPEN = new Set(['/v1/session', '/openapi.json', '/readyz']);

async function apiCall(request, response, url) {
    const { pathname } = url;
    if (!state.signedIn && !OPEN.has(pathname)) return signedOut(request, response);
    if (state.denied.includes(pathname)) return problem(response, 403, 'forbidden', 'Forbidden', 'It is not allowed.');
    const route = ROUTES[`${request.method} ${pathname}`];
    if (route) return route(request, response);
    return (await operationsCall(request, response, url)) || otherCall(request, response, url);
}

function signedOut(request, response) {
    if (request.headers['sec-fetch-dest'] === 'iframe') return signedOutFrame(response);
    return problem(response, 401, 'unauthorized', 'Unauthorized', 'The session has ended.');
}

/** Answers a call of operations, and returns whether it is one. */
async function operationsCall(request, response, { pathname, searchParams }) {
    for (const [method, pattern, answer] of [
        ...OPERATIONS,
        ...DRAINS,
        ...DEAD_LETTERS,
        ...CLIENT_CALLS,
        ...RECORD_CALLS,
    ]) {
        const match = request.method === method && pattern.exec(pathname);
        if (!match) continue;
        const {
            status = 200,
            document,
            headers,
            problem: named,
        } = answer(match, searchParams, await jsonOf(request), request.headers);
        if (named) problem(response, status, ...named);
        else send(response, status, document, headers);
        return true;
    }
    return false;
}

function otherCall(request, response, url) {
    const { pathname } = url;
    if (pathname.startsWith('/v1/dead-letters/')) return letterRoute(request.method, pathname, response);
    if (pathname.startsWith('/v1/jobs/')) return jobRoute(pathname, response);
    const imitated = !MLFLOW_URL && pathname.startsWith('/api/2.0/mlflow/');
    return imitated ? send(response, 200, mlflow(pathname, url.searchParams)) : proxy(request, response, url);
}

/** The bridge's page in a frame without a session. */
function signedOutFrame(response) {
    const script = "parent.postMessage({ type: 'mlflow-bridge:signed-out' }, location.origin);";
    const hash = createHash('sha256').update(script).digest('base64');
    response.writeHead(401, {
        'Content-Type': TYPES['.html'],
        'Content-Security-Policy': `default-src 'none'; script-src 'sha256-${hash}'`,
    });
    response.end(
        `<!doctype html><html lang="en"><title>Signed out</title><p>You are signed out.</p><script>${script}</script></html>`,
    );
}

function jobRoute(path, response) {
    const job = jobs().find(({ job_id }) => path.endsWith(job_id));
    return job ? send(response, 200, job) : problem(response, 404, 'not-found', 'Not Found', 'There is no such job.');
}

/** Passes a call to MLflow, with the policy that the bridge sets on its pages. */
function proxy(request, response, url) {
    if (!MLFLOW_URL) return frameStandIn(response, url);
    const target = new URL(url.pathname + url.search, MLFLOW_URL);
    const { host: _host, origin: _origin, ...headers } = request.headers;
    const upstream = http.request(target, { method: request.method, headers }, (answer) => {
        const { 'x-frame-options': _frame, 'content-security-policy': _policy, ...fields } = answer.headers;
        if (/html/.test(fields['content-type'] ?? '')) fields['content-security-policy'] = FRAME_POLICY;
        response.writeHead(answer.statusCode, fields);
        answer.pipe(response);
    });
    upstream.on('error', () => problem(response, 502, 'bad-gateway', 'Bad Gateway', 'MLflow does not answer.'));
    request.pipe(upstream);
}

function frameStandIn(response, url) {
    if (state.mlflowIsDown) {
        const document = {
            error_code: 'TEMPORARILY_UNAVAILABLE',
            message: "Upstream can't be reached: ClientConnectorError.",
        };
        return send(response, 502, document);
    }
    if (url.pathname !== '/') return problem(response, 404, 'not-found', 'Not Found', 'There is no such page.');
    response.writeHead(200, { 'Content-Type': TYPES['.html'], 'Content-Security-Policy': FRAME_POLICY });
    response.end(
        '<!doctype html><html lang="en"><title>MLflow</title><div id="root"><h1>MLflow</h1><a href="#/experiments/7">nightly</a></div></html>',
    );
}

async function control(request, response) {
    Object.assign(state, JSON.parse(await bodyOf(request)));
    send(response, 200, state);
}

http.createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const answered = () => {
        if (url.pathname === '/mock') return control(request, response);
        if (url.pathname === '/app/sign-in/oidc') {
            state.signedIn = true;
            return response.writeHead(303, { Location: url.searchParams.get('to') ?? '/app/' }).end();
        }
        if (/^\/app(\/|$)/.test(url.pathname)) return staticFile(url.pathname, response);
        if (state.unreachable) return request.socket.destroy();
        return apiCall(request, response, url);
    };
    Promise.resolve(answered()).catch((error) =>
        problem(response, 500, 'internal', 'Internal Server Error', String(error)),
    );
}).listen(PORT, '127.0.0.1', () => console.log(`the stand-in for the bridge listens at http://127.0.0.1:${PORT}/app/`));
