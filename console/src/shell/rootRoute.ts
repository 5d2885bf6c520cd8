// SPDX-License-Identifier: Apache-2.0
// The two routes that all others are children of.
import { createRootRoute, createRoute, Outlet } from '@tanstack/react-router';

import { Shell } from './Shell';

export const rootRoute = createRootRoute({ component: Outlet });

/** What surrounds each page of a signed-in visitor. */
export const shellRoute = createRoute({ getParentRoute: () => rootRoute, id: 'shell', component: Shell });
