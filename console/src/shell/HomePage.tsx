// SPDX-License-Identifier: Apache-2.0
// The first page. It lists experiments for clients that are limited to some; for others the shell shows MLflow's UI.
import { lazy, Suspense } from 'react';

import { Loading } from '../feedback/Loading';
import { useSession } from '../session/SessionContext';

const ExperimentsPage = lazy(() => import('../experiments/ExperimentsPage'));

export function HomePage() {
  const { experiments } = useSession();
  if (experiments === null) return null;
  return (
    <Suspense fallback={<Loading label="your experiments" />}>
      <ExperimentsPage ids={experiments} />
    </Suspense>
  );
}
