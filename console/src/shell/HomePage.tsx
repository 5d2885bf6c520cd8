// SPDX-License-Identifier: Apache-2.0
// The first page. The shell shows MLflow's UI there, but for clients that are limited to experiments.
import { lazy, Suspense } from 'react';

import { Loading } from '../feedback/Loading';
import { useSession } from '../session/SessionContext';

const ExperimentsPage = lazy(() => import('../experiments/ExperimentsPage'));

export function HomePage() {
  const { experiments } = useSession();
  if (experiments === null) return null;
  return (
    <Suspense fallback={<Loading what="your experiments" />}>
      <ExperimentsPage ids={experiments} />
    </Suspense>
  );
}
