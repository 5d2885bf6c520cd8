// SPDX-License-Identifier: Apache-2.0
// The pages of operations that `check-pages.mjs` opens.

const VIEWER = { actions: ['GetBacklog', 'GetMetrics', 'GetJob', 'GetDeadLetter', 'GetWorkers', 'GetUpstream'] };

export const OPERATIONS_PAGES = [
    { name: 'ops-overview', path: '/app/ops', text: 'Runs that wait longest' },
    { name: 'ops-overview-degraded', path: '/app/ops', state: { overview: 'degraded' }, text: 'What to do' },
    {
        name: 'ops-overview-paused',
        path: '/app/ops',
        state: { pause: { why: 'Maintenance of the tracking server', until: null } },
        text: 'until an operator resumes it',
    },
    {
        name: 'ops-overview-unavailable',
        path: '/app/ops',
        state: { overview: 'unavailable' },
        text: 'The store is full',
    },
    {
        name: 'ops-overview-idle',
        path: '/app/ops',
        state: { overview: 'idle', empty: true },
        text: 'MLflow has all writes',
    },
    { name: 'ops-overview-away', path: '/app/ops', state: { overview: 'away' }, text: 'Clients receive 503' },
    { name: 'ops-overview-viewer', path: '/app/ops', state: VIEWER, text: 'Runs that wait longest' },
    { name: 'ops-overview-denied', path: '/app/ops', state: { denied: ['/v1/overview'] }, text: 'keys update' },
    {
        name: 'ops-overview-table',
        path: '/app/ops',
        text: 'Waiting',
        act: (page) => page.getByRole('button', { name: 'Table of Writes' }).click(),
        after: 'Minute',
    },
    {
        name: 'ops-overview-unreachable',
        path: '/app/ops',
        text: 'Runs that wait longest',
        meanwhile: { unreachable: true },
        after: 'The bridge is not reachable since',
    },
    {
        name: 'ops-keys',
        path: '/app/ops',
        text: 'Waiting',
        act: (page) => page.keyboard.press('?'),
        after: 'Single keys',
    },
    { name: 'ops-runbook', path: '/app/ops/runbook#no-worker-delivers', text: 'No worker delivers' },
];
