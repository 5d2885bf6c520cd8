// SPDX-License-Identifier: Apache-2.0
// The pages about dead letters and drains, for `check-pages.mjs`.
const LIST = '/app/ops/dead-letters';
const VIEWER = ['GetRun', 'GetJob', 'GetDeadLetter', 'GetBacklog', 'GetClient', 'GetUsage', 'GetAudit'];
const click = (name) => (page) => page.getByRole('button', { name }).first().click();

async function discardWithChange(page) {
    await page.getByRole('button', { name: /^Discard all/ }).click();
    await page.locator('input[name="count"]').fill('12');
    await page.evaluate(() => fetch('/mock', { method: 'POST', body: '{"letterCount":1304}' }));
    await page.getByRole('button', { name: 'Discard 12 letters' }).click();
}

async function beginReplay(page) {
    await page.getByRole('button', { name: /^Replay all/ }).click();
    await page.getByRole('button', { name: /^Replay 1,\d+ letters/ }).click();
    await page.getByText('The replay is ordered').waitFor();
}

export const LETTER_PAGES = [
    { name: 'letters', path: LIST, text: 'Changing param values' },
    {
        name: 'letters-filtered',
        path: `${LIST}?reason=refused&client=nightly&since=24h&order=oldest&limit=100`,
        text: 'Changing param values',
    },
    { name: 'letters-no-match', path: `${LIST}?client=unknown`, text: 'Nothing matches' },
    { name: 'letters-empty', path: LIST, state: { empty: true, overview: 'idle' }, text: 'No dead letters.' },
    {
        name: 'letters-selected',
        path: LIST,
        text: 'Changing param values',
        act: async (page) => {
            await page
                .getByRole('checkbox', { name: /^Select log-parameter/ })
                .first()
                .click();
            await page
                .getByRole('checkbox', { name: /^Select log-parameter/ })
                .nth(1)
                .click();
        },
        after: '2 of 50 selected',
    },
    {
        name: 'letters-discard-selected',
        path: LIST,
        text: 'Changing param values',
        act: async (page) => {
            await page
                .getByRole('checkbox', { name: /^Select log-parameter/ })
                .first()
                .click();
            await page.getByRole('button', { name: 'Discard 1', exact: true }).click();
        },
        after: 'This cannot be undone',
    },
    {
        name: 'letter-open',
        path: `${LIST}/0f0000099999.1?reason=refused`,
        text: 'A replay overwrites tag',
        after: 'as it was sent',
    },
    {
        name: 'letter-exact',
        path: `${LIST}/0f0000099940.1`,
        text: '9223372036854775807',
        act: (page) => page.getByText('Indented.').click(),
    },
    {
        name: 'letter-replayed',
        path: `${LIST}/0f0000099999.1`,
        text: 'A replay overwrites tag',
        act: (page) => page.getByRole('button', { name: 'Replay', exact: true }).click(),
        after: 'Replayed: it is job',
    },
    { name: 'letter-gone', path: `${LIST}/0fgone.1`, text: 'This is no dead letter' },
    { name: 'letter-viewer', path: `${LIST}/0f0000099999.1`, state: { actions: VIEWER }, text: 'as it was sent' },
    {
        name: 'replay-all',
        path: LIST,
        text: 'Changing param values',
        act: click(/^Replay all/),
        after: 'becomes “a” again',
    },
    {
        name: 'replay-begun',
        path: LIST,
        text: 'Changing param values',
        act: beginReplay,
        after: 'Change the rate',
    },
    {
        name: 'discard-all',
        path: `${LIST}?reason=expired`,
        text: 'It waited for 72',
        act: click(/^Discard all/),
        after: 'to confirm',
    },
    {
        name: 'discard-changed',
        path: `${LIST}?error_code=RESOURCE_DOES_NOT_EXIST`,
        text: 'not found',
        act: discardWithChange,
        after: 'The number has changed meanwhile',
    },
    { name: 'letters-viewer', path: LIST, state: { actions: VIEWER }, text: 'Changing param values' },
    { name: 'drains', path: '/app/ops/drains', text: 'night-shift' },
    { name: 'drains-empty', path: '/app/ops/drains', state: { empty: true }, text: 'No orders.' },
    {
        name: 'drains-running',
        path: '/app/ops/drains',
        state: {
            drains: [
                {
                    drain_id: 'dr-77c1',
                    action: 'replay',
                    filter: { reason: 'refused', client: 'nightly' },
                    rate: 0.5,
                    state: 'running',
                    total: 812,
                    done: 325,
                    skipped: 0,
                    began_at: new Date(Date.now() - 60_000).toISOString(),
                    finished_at: null,
                    ordered_by: 'oidc:anna',
                    ids: [],
                    lookedAt: Date.now(),
                },
            ],
        },
        text: 'of 812 letters',
        act: click(/^Change the rate/),
        after: 'New rate',
    },
];
