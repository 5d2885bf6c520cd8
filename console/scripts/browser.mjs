// SPDX-License-Identifier: Apache-2.0
// Chromium, and the stand-in for the bridge that its pages are loaded from.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { ACTIONS } from '../mock/state.mjs';

const PORT = 8091;
const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';
const BROWSER_OPTIONS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
];
const SERVER = fileURLToPath(new URL('../mock/server.mjs', import.meta.url));

export const ORIGIN = `http://127.0.0.1:${PORT}`;

/** What the stand-in knows before each check: a client that may do everything, and MLflow four minutes behind. */
export const SIGNED_IN = {
    signedIn: true,
    via: 'oidc',
    actions: ACTIONS,
    experiments: null,
    readOnly: false,
    backlog: 'behind',
    empty: false,
    mlflowIsDown: false,
    unreachable: false,
    denied: [],
    replayed: [],
    overview: 'delivering',
    pause: null,
    attempted: [],
    letterCount: 1204,
    gone: [],
    drains: [],
    conflicts: 'tag',
    signInAgain: false,
    clientVersion: 1,
    clients: {},
    keys: {},
};

/** Changes what the stand-in knows, and returns all of it. */
export async function setState(state) {
    return (await fetch(`${ORIGIN}/mock`, { method: 'POST', body: JSON.stringify(state) })).json();
}

/** Runs `work` with a browser and the stand-in, and ends both. */
export async function withBrowser(work) {
    const env = { ...process.env, PORT: String(PORT) };
    const server = spawn(process.execPath, [SERVER], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => server.stdout.once('data', resolve));
    const browser = await chromium.launch({ executablePath: BROWSER, args: BROWSER_OPTIONS });
    try {
        await work(browser);
    } finally {
        await browser.close();
        server.kill();
    }
}
