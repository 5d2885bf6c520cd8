// SPDX-License-Identifier: Apache-2.0
// The addresses of operations. The `search.ts` beside a page reads the query of its address.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router';

import { shellRoute } from '../shell/rootRoute';
import { auditSearch } from './audit/search';
import { clientsSearch } from './clients/search';
import { drainsSearch } from './drains/search';
import { jobsSearch } from './jobs/search';
import { lettersSearch } from './letters/search';
import { runsSearch } from './runs/search';
import { upstreamsSearch } from './upstreams/search';
import { usageSearch } from './usage/search';

const operations = createRoute({
  getParentRoute: () => shellRoute,
  path: '/ops',
  component: lazyRouteComponent(() => import('./shell/OperationsShell')),
});

const overview = createRoute({
  getParentRoute: () => operations,
  path: '/',
  component: lazyRouteComponent(() => import('./overview/OverviewPage')),
});

const runs = createRoute({
  getParentRoute: () => operations,
  path: '/runs',
  validateSearch: runsSearch,
  component: lazyRouteComponent(() => import('./runs/RunsPage')),
});

const run = createRoute({
  getParentRoute: () => operations,
  path: '/runs/$lane',
  component: lazyRouteComponent(() => import('./runs/RunPage')),
});

const jobs = createRoute({
  getParentRoute: () => operations,
  path: '/jobs',
  validateSearch: jobsSearch,
  component: lazyRouteComponent(() => import('./jobs/JobsPage')),
});

const job = createRoute({
  getParentRoute: () => operations,
  path: '/jobs/$jobId',
  component: lazyRouteComponent(() => import('./jobs/JobPage')),
});

const letters = createRoute({
  getParentRoute: () => operations,
  path: '/dead-letters',
  validateSearch: lettersSearch,
  component: lazyRouteComponent(() => import('./letters/LettersPage')),
});

/** Opens beside the list, which stays as it is. */
const letter = createRoute({
  getParentRoute: () => letters,
  path: '$letterId',
  component: lazyRouteComponent(() => import('./letters/LetterPage')),
});

const drains = createRoute({
  getParentRoute: () => operations,
  path: '/drains',
  validateSearch: drainsSearch,
  component: lazyRouteComponent(() => import('./drains/DrainsPage')),
});

const clients = createRoute({
  getParentRoute: () => operations,
  path: '/clients',
  validateSearch: clientsSearch,
  component: lazyRouteComponent(() => import('./clients/ClientsPage')),
});

const client = createRoute({
  getParentRoute: () => operations,
  path: '/clients/$name',
  component: lazyRouteComponent(() => import('./clients/ClientPage')),
});

const usage = createRoute({
  getParentRoute: () => operations,
  path: '/usage',
  validateSearch: usageSearch,
  component: lazyRouteComponent(() => import('./usage/UsagePage')),
});

const upstreams = createRoute({
  getParentRoute: () => operations,
  path: '/upstreams',
  validateSearch: upstreamsSearch,
  component: lazyRouteComponent(() => import('./upstreams/UpstreamsPage')),
});

const workers = createRoute({
  getParentRoute: () => operations,
  path: '/workers',
  component: lazyRouteComponent(() => import('./workers/WorkersPage')),
});

const audit = createRoute({
  getParentRoute: () => operations,
  path: '/audit',
  validateSearch: auditSearch,
  component: lazyRouteComponent(() => import('./audit/AuditPage')),
});

const runbook = createRoute({
  getParentRoute: () => operations,
  path: '/runbook',
  component: lazyRouteComponent(() => import('./runbook/RunbookPage')),
});

export const operationsRoutes = operations.addChildren([
  overview,
  runs,
  run,
  jobs,
  job,
  letters.addChildren([letter]),
  drains,
  clients,
  client,
  usage,
  upstreams,
  workers,
  audit,
  runbook,
]);
