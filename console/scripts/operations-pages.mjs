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
    { name: 'ops-runs', path: '/app/ops/runs', text: 'nightly/17' },
    { name: 'ops-runs-no-match', path: '/app/ops/runs?client=absent', text: 'Nothing matches' },
    { name: 'ops-runs-empty', path: '/app/ops/runs', state: { empty: true }, text: 'MLflow has all writes' },
    { name: 'ops-run', path: '/app/ops/runs/a3f1c0de5b7e4c1f9d2e8a6b4c0d1e2f', text: 'Changing param values' },
    { name: 'ops-run-gone', path: '/app/ops/runs/run%3Anightly%252F99', text: 'Nothing of this run waits' },
    {
        name: 'ops-run-viewer',
        path: '/app/ops/runs/run%3Anightly%252F18',
        state: VIEWER,
        text: 'It waits for its turn',
        act: async (page) => {
            await page.getByRole('button', { name: 'Try now' }).first().focus();
            await page.getByText('--allow AttemptLane').and(page.locator(':visible')).first().waitFor();
        },
    },
    { name: 'ops-jobs', path: '/app/ops/jobs', text: 'Look up' },
    { name: 'ops-jobs-found', path: '/app/ops/jobs?find=27ea0c19', text: 'As a request id' },
    { name: 'ops-jobs-many', path: '/app/ops/jobs?find=AQABAAAAAAAx1%0AAQABAAAAAAAx2%0AAQgone', text: 'AQgone' },
    { name: 'ops-jobs-none', path: '/app/ops/jobs?find=unknown', text: 'No such job' },
    { name: 'ops-job', path: '/app/ops/jobs/AQABAAAAAAAx1', text: 'Rate exceeded' },
    { name: 'ops-job-none', path: '/app/ops/jobs/AQnone', text: 'No such job' },
    { name: 'ops-workers', path: '/app/ops/workers', text: 'Versions differ' },
    { name: 'ops-workers-none', path: '/app/ops/workers', state: { empty: true }, text: 'No worker reports' },
    { name: 'ops-upstreams', path: '/app/ops/upstreams', text: 'ThrottlingException' },
    {
        name: 'ops-upstreams-down',
        path: '/app/ops/upstreams',
        state: { overview: 'degraded' },
        text: 'breaker is open',
    },
    {
        name: 'ops-upstreams-probe',
        path: '/app/ops/upstreams',
        state: { overview: 'degraded' },
        text: 'breaker is open',
        act: (page) => page.getByRole('button', { name: 'Probe' }).click(),
        after: 'Start the tracking server',
    },
    {
        name: 'ops-upstreams-pause',
        path: '/app/ops/upstreams',
        text: 'Calls go through',
        act: (page) => page.getByRole('button', { name: 'Pause deliveries…' }).click(),
        after: 'mlflow-bridge upstream pause',
    },
    {
        name: 'ops-upstreams-paused',
        path: '/app/ops/upstreams',
        state: { pause: { why: 'Maintenance of the tracking server', until: null } },
        text: 'Deliveries are paused',
    },
    { name: 'ops-runbook', path: '/app/ops/runbook#no-worker-delivers', text: 'No worker delivers' },
];
