// SPDX-License-Identifier: Apache-2.0
// The pages about clients, keys, usage and the audit trail, for `check-pages.mjs`.
const VIEWER = ['GetRun', 'GetJob', 'GetBacklog', 'GetClient', 'GetUsage', 'GetAudit'];
const NIGHTLY = '/app/ops/clients/nightly';
const click = (name) => (page) => page.getByRole('button', { name }).first().click();

async function makeKey(page) {
    await page.getByRole('button', { name: 'New key' }).click();
    await page.getByRole('button', { name: 'Make the key' }).click();
}

async function changedMeanwhile(page) {
    await page.locator('input[name="quota-writes"]').fill('50');
    const clients = { nightly: { deny: [], quota: { requests: 40 } } };
    await page.evaluate(
        (body) => fetch('/mock', { method: 'POST', body }),
        JSON.stringify({ clients, clientVersion: 2 }),
    );
    await page.getByRole('button', { name: 'Save', exact: true }).click();
}

async function test(page) {
    await page.getByRole('button', { name: /Choose an action/ }).click();
    await page.getByRole('option', { name: /SetTag/ }).click();
}

export const CLIENT_PAGES = [
    { name: 'clients', path: '/app/ops/clients', text: 'sweeper' },
    { name: 'clients-found', path: '/app/ops/clients?find=night', text: 'nightly' },
    { name: 'clients-empty', path: '/app/ops/clients', state: { empty: true }, text: 'No clients.' },
    { name: 'clients-new', path: '/app/ops/clients?new=1', text: 'Of a program, a team or a person' },
    { name: 'clients-denied', path: '/app/ops/clients', state: { denied: ['/v1/clients'] }, text: 'keys update' },
    { name: 'client', path: NIGHTLY, text: '5f0c2a7d91' },
    { name: 'client-viewer', path: NIGHTLY, state: { actions: VIEWER }, text: '5f0c2a7d91' },
    { name: 'client-unknown', path: '/app/ops/clients/none', text: 'There is no client' },
    {
        name: 'client-changed',
        path: NIGHTLY,
        text: '5f0c2a7d91',
        act: changedMeanwhile,
        after: 'The client was changed meanwhile',
    },
    { name: 'client-tested', path: NIGHTLY, text: '5f0c2a7d91', act: test, after: 'denied by name' },
    { name: 'client-new-key', path: NIGHTLY, text: '5f0c2a7d91', act: click('New key'), after: 'Make the key' },
    { name: 'client-key-made', path: NIGHTLY, text: '5f0c2a7d91', act: makeKey, after: 'I have stored it' },
    {
        name: 'client-rotate',
        path: NIGHTLY,
        text: '5f0c2a7d91',
        act: click('Rotate the key 5f0c2a7d91'),
        after: 'Overlap, in hours',
    },
    {
        name: 'client-revoke',
        path: NIGHTLY,
        text: '5f0c2a7d91',
        act: click('Revoke the key 5f0c2a7d91'),
        after: 'to confirm',
    },
    {
        name: 'client-sign-in-again',
        path: NIGHTLY,
        state: { signInAgain: true },
        text: '5f0c2a7d91',
        act: makeKey,
        after: 'needs a sign-in of the last 15 minutes',
    },
    { name: 'usage', path: '/app/ops/usage', text: 'sweeper' },
    { name: 'usage-days', path: '/app/ops/usage?by=day&measure=bytes', text: 'sweeper' },
    { name: 'usage-client', path: '/app/ops/usage?client=oidc%3Aanna&measure=prompt_tokens', text: 'gpt-4o' },
    {
        name: 'usage-table',
        path: '/app/ops/usage',
        text: 'sweeper',
        act: click('Table'),
        after: 'From',
    },
    { name: 'usage-empty', path: '/app/ops/usage', state: { empty: true }, text: 'No requests in this time.' },
    { name: 'audit', path: '/app/ops/audit', text: '340 times' },
    { name: 'audit-filtered', path: '/app/ops/audit?decision=denied&since=7d', text: '12 times' },
    { name: 'audit-empty', path: '/app/ops/audit', state: { empty: true }, text: 'Nothing yet.' },
];
