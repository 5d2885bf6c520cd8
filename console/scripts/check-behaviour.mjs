// SPDX-License-Identifier: Apache-2.0
// Does in Chromium what a visitor does, against the stand-in for the bridge.
import assert from 'node:assert/strict';

import { ORIGIN, setState, SIGNED_IN, withBrowser } from './browser.mjs';
import { OPERATIONS_CHECKS } from './operations-behaviour.mjs';

const WAIT_MS = 15_000;
const text = (page, content) => page.getByText(content).first().waitFor({ timeout: WAIT_MS });
const signIn = async (page) => {
    await page.getByLabel('API key').fill('mbk_secret');
    await page.getByRole('button', { name: 'Sign in with the key' }).click();
};

const CHECKS = {
    'a visitor without a session signs in and lands where the link led': async (page) => {
        await setState({ signedIn: false });
        await page.goto(`${ORIGIN}/app/keys`);
        await text(page, 'Sign in with the key');
        assert.equal(page.url(), `${ORIGIN}/app/sign-in?to=%2Fapp%2Fkeys`);
        await signIn(page);
        await page.waitForURL(`${ORIGIN}/app/keys`);
        await text(page, 'Keys of');
    },

    'a wrong key is refused with a cause': async (page) => {
        await setState({ signedIn: false });
        await page.goto(`${ORIGIN}/app/sign-in`);
        await page.getByLabel('API key').fill('wrong');
        await page.keyboard.press('Enter');
        await text(page, 'The key is not valid');
    },

    'the sign-in page leads to no other site': async (page) => {
        await setState({ signedIn: false });
        for (const to of ['//evil.example/', '/\\evil.example/', 'https://evil.example/', 'javascript:alert(1)']) {
            await setState({ signedIn: false });
            await page.goto(`${ORIGIN}/app/sign-in?to=${encodeURIComponent(to)}`);
            await signIn(page);
            await page.waitForURL((url) => url.pathname === '/app/');
            assert.equal(new URL(page.url()).origin, ORIGIN);
        }
    },

    'a session that ends in the middle of work comes back with the work kept': async (page) => {
        await page.goto(`${ORIGIN}/app/jobs`);
        await page.getByLabel('What became of a job').fill('half typed');
        await setState({ signedIn: false });
        await text(page, 'You are signed out');
        await signIn(page);
        await page.getByRole('dialog').waitFor({ state: 'hidden', timeout: WAIT_MS });
        assert.equal(await page.getByLabel('What became of a job').inputValue(), 'half typed');
        assert.equal(page.url(), `${ORIGIN}/app/jobs`);
    },

    'a sign-in at the provider happens in a second tab, and the first goes on': async (page) => {
        await page.goto(`${ORIGIN}/app/jobs`);
        await text(page, 'Dead letters');
        await setState({ signedIn: false });
        await text(page, 'You are signed out');
        const opened = page.waitForEvent('popup');
        await page.getByRole('link', { name: 'Sign in with your organisation' }).click();
        await text(await opened, 'You are signed in');
        await page.getByRole('dialog').waitFor({ state: 'hidden', timeout: WAIT_MS });
    },

    'a frame without a session asks for a sign-in, and shows MLflow after it': async (page) => {
        await page.goto(`${ORIGIN}/app/`);
        await page.frameLocator('iframe').getByRole('heading', { name: 'MLflow' }).waitFor();
        await setState({ signedIn: false });
        await page.evaluate(() => document.querySelector('iframe').contentWindow.location.reload());
        await text(page, 'You are signed out');
        await signIn(page);
        await page.frameLocator('iframe').getByRole('heading', { name: 'MLflow' }).waitFor();
    },

    "MLflow's pages come back by themselves after a failure": async (page) => {
        await setState({ mlflowIsDown: true });
        await page.goto(`${ORIGIN}/app/`);
        await text(page, "MLflow's pages cannot be loaded");
        await setState({ mlflowIsDown: false });
        await page.frameLocator('iframe').getByRole('heading', { name: 'MLflow' }).waitFor({ timeout: WAIT_MS });
    },

    "the address carries the frame's place, opens it again, and keeps it for the way back": async (page) => {
        await page.goto(`${ORIGIN}/app/`);
        await page.frameLocator('iframe').getByRole('link', { name: 'nightly' }).click();
        await page.waitForURL(`${ORIGIN}/app/#/experiments/7`);
        await page.getByRole('link', { name: 'My keys' }).click();
        await text(page, 'Keys of');
        await page.getByRole('link', { name: 'Experiments' }).click();
        assert.equal(page.url(), `${ORIGIN}/app/#/experiments/7`);
        await page.goto(`${ORIGIN}/app/keys`);
        await page.goto(`${ORIGIN}/app/#/experiments/9/runs/abc`);
        await page.frameLocator('iframe').getByRole('link').waitFor();
        const place = await page.evaluate(() => document.querySelector('iframe').contentWindow.location.href);
        assert.equal(place, `${ORIGIN}/#/experiments/9/runs/abc`);
    },

    'a shared link to a run opens the own page of a limited client': async (page) => {
        await setState({ experiments: ['7'] });
        await page.goto(`${ORIGIN}/app/#/experiments/7/runs/a3f1`);
        await page.waitForURL(`${ORIGIN}/app/runs/a3f1`);
        await text(page, 'Latest metrics');
    },

    'a dead letter is replayed where the client may': async (page) => {
        await page.goto(`${ORIGIN}/app/jobs`);
        await page.getByRole('button', { name: 'Replay the dead letter 0000000000d1' }).click();
        await page.getByRole('button', { name: 'Replay the dead letter 0000000000d1' }).waitFor({ state: 'detached' });
        assert.deepEqual((await setState({})).replayed, ['0000000000d1']);
    },

    'a button that is off names the missing action': async (page) => {
        await setState({ actions: ['GetJob', 'GetDeadLetter'] });
        await page.goto(`${ORIGIN}/app/jobs`);
        await page.getByRole('button', { name: 'Replay the dead letter 0000000000d1' }).focus();
        await page
            .getByText('--allow ReplayDeadLetter')
            .and(page.locator(':visible'))
            .first()
            .waitFor({ timeout: WAIT_MS });
        assert.equal(await page.getByRole('link', { name: 'Operations' }).count(), 0);
    },

    'polling is revalidated, and stops while the tab is hidden': async (page) => {
        await page.goto(`${ORIGIN}/app/keys`);
        await text(page, 'Keys of');
        const { unchanged } = await setState({});
        await page.waitForResponse((response) => response.url().endsWith('/v1/backlog/mine'), { timeout: WAIT_MS });
        assert.ok((await setState({})).unchanged > unchanged);
        await page.evaluate(() => {
            Object.defineProperty(document, 'visibilityState', { value: 'hidden' });
            document.dispatchEvent(new Event('visibilitychange'));
            window.dispatchEvent(new Event('visibilitychange'));
        });
        const asked = page.waitForRequest((request) => request.url().endsWith('/v1/backlog/mine'), { timeout: 7000 });
        await assert.rejects(asked, /Timeout/);
    },

    'an operation is tried out with the session': async (page) => {
        await page.goto(`${ORIGIN}/app/api#get-v1-jobs-job_id`);
        await page.getByRole('tab', { name: 'Try it' }).click();
        await page.getByRole('button', { name: 'Send GET' }).click();
        await text(page, 'Fill in job_id.');
        await page.getByRole('textbox', { name: 'job_id' }).fill('AQABAAAAAAAx1');
        await page.getByRole('button', { name: 'Send GET' }).click();
        await text(page, '200 OK');
    },

    'the keyboard skips to the content, and a new page takes the focus': async (page) => {
        await page.goto(`${ORIGIN}/app/keys`);
        await text(page, 'Keys of');
        await page.keyboard.press('Tab');
        await page.keyboard.press('Enter');
        assert.equal(await page.evaluate(() => document.activeElement.id), 'content');
        await page.getByRole('link', { name: 'My jobs' }).press('Enter');
        await text(page, 'Dead letters');
        assert.equal(await page.evaluate(() => document.activeElement.id), 'content');
        assert.equal(await page.title(), 'My jobs · MLflow Bridge');
    },

    'signing out ends on the sign-in page': async (page) => {
        await page.goto(`${ORIGIN}/app/keys`);
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.waitForURL(`${ORIGIN}/app/sign-in`);
    },
};

let failures = 0;
await withBrowser(async (browser) => {
    for (const [name, check] of Object.entries({ ...CHECKS, ...OPERATIONS_CHECKS })) {
        if (process.argv[2] && !name.includes(process.argv[2])) continue;
        await setState(SIGNED_IN);
        const context = await browser.newContext();
        try {
            await check(await context.newPage());
            console.log(`passed: ${name}`);
        } catch (error) {
            failures += 1;
            console.error(`failed: ${name}\n  ${String(error).slice(0, 600)}`);
        }
        await context.close();
    }
});
console.log(`${failures} failures`);
process.exit(failures > 0 ? 1 : 0);
