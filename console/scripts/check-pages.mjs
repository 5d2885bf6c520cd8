// SPDX-License-Identifier: Apache-2.0
// Opens each page of the build in Chromium against the stand-in: no violation of accessibility rules or of the policy
// for contents, no error in the console. Writes screenshots to `.pages/`.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { CLIENT_PAGES } from './clientPages.mjs';
import { LETTER_PAGES } from './letterPages.mjs';
import { ORIGIN, setState, SIGNED_IN, withBrowser } from './browser.mjs';
import { OPERATIONS_PAGES } from './operations-pages.mjs';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCREENSHOTS = fileURLToPath(new URL('../.pages', import.meta.url));

const LIMITED = { experiments: ['7', '12'] };
const click = (name) => (page) => page.getByRole('button', { name, exact: false }).first().click();

/** Each page: its name, address, state of the stand-in, the text that shows that it is complete, and what to do. */
const PAGES = [
    ...LETTER_PAGES,
    ...CLIENT_PAGES,
    {
        name: 'sign-in',
        path: '/app/sign-in?to=/app/jobs&error=expired_state',
        state: { signedIn: false },
        text: 'Sign in with the key',
    },
    { name: 'experiments', path: '/app/', text: 'minutes behind' },
    {
        name: 'backlog-details',
        path: '/app/',
        text: 'minutes behind',
        act: (page) => page.locator('.backlog-bar summary').click(),
    },
    {
        name: 'mlflow-down',
        path: '/app/',
        state: { mlflowIsDown: true, backlog: 'stopped' },
        text: 'pages cannot be loaded',
    },
    {
        name: 'no-sign-in',
        path: '/app/',
        state: { via: 'none', backlog: 'current' },
        text: 'everybody on this machine',
    },
    { name: 'jobs', path: '/app/jobs', text: 'Changing param values' },
    {
        name: 'jobs-empty',
        path: '/app/jobs',
        state: { empty: true, backlog: 'current' },
        text: 'None of your writes wait',
    },
    {
        name: 'jobs-may-not-replay',
        path: '/app/jobs',
        state: { actions: ['GetJob', 'GetDeadLetter'] },
        text: 'Changing param values',
    },
    { name: 'jobs-denied', path: '/app/jobs', state: { denied: ['/v1/dead-letters'] }, text: 'keys update' },
    {
        name: 'letter',
        path: '/app/jobs',
        text: 'Changing param values',
        act: click('Details of the dead letter'),
        after: '9223372036854775807',
    },
    {
        name: 'signed-out',
        path: '/app/jobs',
        text: 'Changing param values',
        meanwhile: { signedIn: false },
        after: 'You are signed out',
    },
    {
        name: 'unreachable',
        path: '/app/keys',
        text: 'Keys of',
        meanwhile: { unreachable: true },
        after: 'The bridge is not reachable since',
    },
    { name: 'keys', path: '/app/keys', text: 'MBKA5F' },
    { name: 'api', path: '/app/api', text: 'log-batch' },
    { name: 'api-call', path: '/app/api#get-v1-jobs-job_id', text: 'With `Prefer' },
    {
        name: 'api-try',
        path: '/app/api#post-api-2-0-mlflow-runs-log-batch',
        text: 'Request',
        act: (page) => page.getByRole('tab', { name: 'Try it' }).click(),
        after: 'oauth2-bearer',
    },
    { name: 'limited-experiments', path: '/app/', state: LIMITED, text: 'nightly-12' },
    { name: 'limited-experiment', path: '/app/experiments/7', state: LIMITED, text: 'nightly/18' },
    { name: 'limited-run', path: '/app/runs/a3f1c0de', state: LIMITED, text: 'Show as table' },
    {
        name: 'limited-table',
        path: '/app/runs/a3f1c0de',
        state: LIMITED,
        text: 'Show as table',
        act: (page) => page.getByText('Show as table').click(),
        after: 'NaN',
    },
    ...OPERATIONS_PAGES,
    { name: 'not-found', path: '/app/nowhere', text: 'There is no such page' },
];
const VIEWS = [
    { theme: 'light', width: 1280 },
    { theme: 'dark', width: 1280 },
    { theme: 'light', width: 400 },
    { theme: 'dark', width: 400 },
];

async function check(browser, each, { theme, width }) {
    await setState({ ...SIGNED_IN, ...each.state });
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
    const page = await context.newPage();
    const found = [];
    // The browser logs each error answer as well; only the page's own errors matter here.
    page.on(
        'console',
        (line) => line.type() === 'error' && !/Failed to load resource/.test(line.text()) && found.push(line.text()),
    );
    page.on('pageerror', (error) => found.push(String(error)));
    try {
        await page.goto(ORIGIN + each.path);
        await page.getByText(each.text).first().waitFor({ timeout: 10_000 });
        if (each.meanwhile) await setState(each.meanwhile);
        await each.act?.(page);
        if (each.after) await page.getByText(each.after).first().waitFor({ timeout: 15_000 });
        // Until what moves has come to rest: axe reads colours of a half-shown dialog wrongly.
        await page.evaluate(() =>
            Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => null))),
        );
        await page.screenshot({ path: `${SCREENSHOTS}/${each.name}-${width}-${theme}.png` });
        found.push(...(await violations(page)));
        if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth))
            found.push('The page scrolls sideways.');
    } catch (error) {
        await page.screenshot({ path: `${SCREENSHOTS}/${each.name}-${width}-${theme}.png` });
        found.push(String(error).slice(0, 300));
    }
    await context.close();
    return found.map((text) => `${each.name} ${theme} ${width}: ${text}`);
}

/** Returns what axe finds. It is evaluated by the debugger, which the page's policy for contents does not bind. */
async function violations(page) {
    await page.evaluate(AXE);
    const { violations: found } = await page.evaluate(
        (values) => globalThis.axe.run(document, { runOnly: { type: 'tag', values }, iframes: false }),
        RULES,
    );
    return found.map(
        ({ id, help, nodes }) =>
            `axe ${id}: ${help}: ${nodes
                .slice(0, 3)
                .map(({ target }) => target.join(' '))
                .join(' | ')}`,
    );
}

mkdirSync(SCREENSHOTS, { recursive: true });
const only = process.argv.slice(2);
const isWanted = (name) => only.length === 0 || only.some((each) => name.startsWith(each));
const failures = [];
await withBrowser(async (browser) => {
    for (const each of PAGES.filter(({ name }) => isWanted(name))) {
        for (const view of VIEWS) failures.push(...(await check(browser, each, view)));
    }
});
for (const failure of failures) console.error(failure);
console.log(`${failures.length} failures; screenshots are in console/.pages`);
process.exit(failures.length > 0 ? 1 : 0);
