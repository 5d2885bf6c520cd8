// SPDX-License-Identifier: Apache-2.0
// The portal's addresses. Each page but the frame loads its code when it is first opened.
import { createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';

import { ErrorPanel } from './feedback/ErrorPanel';
import { operationsRoutes } from './operations/routes';
import { HomePage } from './shell/HomePage';
import { NotFoundPage } from './shell/NotFoundPage';
import { rootRoute as root, shellRoute as shell } from './shell/rootRoute';

const nonEmptyText = (value: unknown): string | undefined => (typeof value === 'string' && value ? value : undefined);

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search): { to?: string; error?: string } => {
    const [to, error] = [nonEmptyText(search['to']), nonEmptyText(search['error'])];
    return { ...(to && { to }), ...(error && { error }) };
  },
  component: lazyRouteComponent(() => import('./session/SignInPage')),
});

const signedIn = createRoute({
  getParentRoute: () => root,
  path: '/signed-in',
  component: lazyRouteComponent(() => import('./session/SignedInPage')),
});

const home = createRoute({ getParentRoute: () => shell, path: '/', component: HomePage });

const jobs = createRoute({
  getParentRoute: () => shell,
  path: '/jobs',
  validateSearch: (search): { run?: string } => {
    // A run's id may be all digits, which the router reads as a number.
    const run = nonEmptyText(search['run'] === undefined ? undefined : String(search['run']));
    return run ? { run } : {};
  },
  component: lazyRouteComponent(() => import('./jobs/JobsPage')),
});

const keys = createRoute({
  getParentRoute: () => shell,
  path: '/keys',
  component: lazyRouteComponent(() => import('./keys/KeysPage')),
});

const reference = createRoute({
  getParentRoute: () => shell,
  path: '/api',
  component: lazyRouteComponent(() => import('./reference/ReferencePage')),
});

const experiment = createRoute({
  getParentRoute: () => shell,
  path: '/experiments/$experimentId',
  component: lazyRouteComponent(() => import('./experiments/ExperimentPage')),
});

const run = createRoute({
  getParentRoute: () => shell,
  path: '/runs/$runId',
  component: lazyRouteComponent(() => import('./experiments/RunPage')),
});

/** JavaScript may throw anything. */
const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    signedIn,
    shell.addChildren([home, jobs, keys, reference, operationsRoutes, experiment, run]),
  ]),
  basepath: '/app',
  defaultNotFoundComponent: NotFoundPage,
  defaultErrorComponent: ({ error, reset }) => <ErrorPanel error={asError(error)} onRetry={reset} page />,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
