// SPDX-License-Identifier: Apache-2.0
// What an operator does in operations, for `check-behaviour.mjs`.
import assert from 'node:assert/strict';

import { ORIGIN, setState } from './browser.mjs';

const WAIT_MS = 15_000;
const VIEWER = { actions: ['GetBacklog', 'GetMetrics', 'GetJob', 'GetDeadLetter', 'GetWorkers', 'GetUpstream'] };
const text = (page, content) => page.getByText(content).first().waitFor({ timeout: WAIT_MS });
const visible = (page, content) => page.getByText(content).and(page.locator(':visible')).first().waitFor();
const at = (page, path) => page.waitForURL(`${ORIGIN}${path}`, { timeout: WAIT_MS });
const focused = (page) => page.evaluate(() => document.activeElement.textContent);

export const OPERATIONS_CHECKS = {
    'operations: the overview follows what happens, and says why': async (page) => {
        await page.goto(`${ORIGIN}/app/ops`);
        await text(page, 'Delivering: writes move on to MLflow.');
        await setState({ overview: 'degraded' });
        await text(page, 'Degraded: Upstream answers 503.');
        await text(page, 'one call is tried at');
        await page.getByRole('link', { name: 'What to do' }).first().click();
        await at(page, '/app/ops/runbook#upstream-is-down-stopped-or-in-maintenance');
    },

    'operations: keys open pages, move between rows and open one': async (page) => {
        await page.goto(`${ORIGIN}/app/ops`);
        await text(page, 'Runs that wait longest');
        await page.keyboard.press('g');
        await page.keyboard.press('r');
        await at(page, '/app/ops/runs');
        await page.getByRole('heading', { name: 'Runs', exact: true, level: 1 }).waitFor();
        await text(page, 'nightly/17');
        await page.keyboard.press('j');
        await page.keyboard.press('j');
        assert.equal(await focused(page), 'nightly/18');
        await page.keyboard.press('k');
        assert.equal(await focused(page), 'nightly/17');
        await page.keyboard.press('Enter');
        await at(page, '/app/ops/runs/a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f');
    },

    'operations: keys are text in fields, and single ones can be switched off': async (page) => {
        await page.goto(`${ORIGIN}/app/ops/runs`);
        await text(page, 'nightly/17');
        await page.keyboard.press('/');
        await page.keyboard.type('gop?');
        assert.equal(await page.getByLabel('Client').inputValue(), 'gop?');
        await page.getByRole('heading', { name: 'Runs', level: 1 }).click();
        await page.keyboard.press('?');
        await page.getByText('Single keys do something').click();
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'hidden' });
        await page.keyboard.press('p');
        await page.keyboard.press('g');
        await page.keyboard.press('o');
        assert.equal(await page.getByRole('button', { name: 'Pause' }).count(), 1);
        assert.equal(page.url(), `${ORIGIN}/app/ops/runs`);
    },

    'operations: pausing is a pause, and resuming asks at once': async (page) => {
        await page.goto(`${ORIGIN}/app/ops`);
        await text(page, 'Runs that wait longest');
        await page.keyboard.press('p');
        await text(page, 'paused');
        await page.waitForTimeout(500);
        const asked = page.waitForRequest((request) => request.url().endsWith('/v1/overview'), { timeout: 6000 });
        await page.evaluate(() => window.dispatchEvent(new Event('visibilitychange')));
        await assert.rejects(asked, /Timeout/);
        const resumed = page.waitForRequest((request) => request.url().endsWith('/v1/overview'), { timeout: 1500 });
        await page.getByRole('button', { name: 'Resume' }).click();
        await resumed;
    },

    'operations: a filter is part of the address, and the way back undoes it': async (page) => {
        await page.goto(`${ORIGIN}/app/ops/runs?client=oidc:anna`);
        await text(page, 'denied');
        assert.equal(await page.getByText('nightly/17').count(), 0);
        await page.getByRole('button', { name: 'Clear' }).click();
        await text(page, 'nightly/17');
        await at(page, '/app/ops/runs');
        await page.goBack();
        await page.getByText('nightly/17').first().waitFor({ state: 'detached' });
    },

    'operations: a run is tried now, also one with a slash in its name': async (page) => {
        await page.goto(`${ORIGIN}/app/ops/runs`);
        await page.getByRole('link', { name: 'nightly/18' }).click();
        await page.getByRole('heading', { name: 'nightly/18', level: 1 }).waitFor();
        await page.reload();
        await page.getByRole('button', { name: 'Try now' }).click();
        await text(page, 'The next attempt is due.');
        assert.deepEqual((await setState({})).attempted, ['run:nightly%2F18']);
    },

    'operations: a viewer sees and cannot act, and reads which action is missing': async (page) => {
        await setState(VIEWER);
        await page.goto(`${ORIGIN}/app/ops/upstreams`);
        await text(page, 'ThrottlingException');
        await page.getByRole('button', { name: 'Pause deliveries…' }).focus();
        await visible(page, '--allow ManageUpstream');
        await page.keyboard.press('Enter');
        assert.equal(await page.getByRole('dialog').count(), 0);
    },

    'operations: deliveries are paused with a reason, and resumed': async (page) => {
        await page.goto(`${ORIGIN}/app/ops/upstreams`);
        await page.getByRole('button', { name: 'Pause deliveries…' }).click();
        const dialog = page.getByRole('dialog');
        await dialog.getByRole('button', { name: 'Pause deliveries' }).click();
        await text(page, 'Say why.');
        await dialog.getByLabel('Why').fill('Maintenance');
        await dialog.getByRole('button', { name: 'Pause deliveries' }).click();
        await text(page, 'Deliveries are paused: Maintenance');
        await dialog.waitFor({ state: 'hidden' });
        await page.goto(`${ORIGIN}/app/ops`);
        await text(page, 'Paused: Maintenance.');
        await page.getByRole('link', { name: 'Resume under Upstreams' }).click();
        await page.getByRole('button', { name: 'Resume deliveries' }).click();
        await text(page, 'Calls go through');
    },

    'operations: buttons are off while the bridge does not answer': async (page) => {
        await page.goto(`${ORIGIN}/app/ops/upstreams`);
        await text(page, 'ThrottlingException');
        await setState({ unreachable: true });
        await text(page, 'The bridge is not reachable since');
        await page.getByRole('button', { name: 'Probe' }).focus();
        await visible(page, 'does not answer at present');
        await setState({ unreachable: false });
        await page.getByText('The bridge is not reachable since').waitFor({ state: 'detached', timeout: WAIT_MS });
    },
};
