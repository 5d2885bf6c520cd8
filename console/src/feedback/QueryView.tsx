// SPDX-License-Identifier: Apache-2.0
// Shows what a query has fetched, or its state: loading, denied, failed, or stale.
import type { UseQueryResult } from '@tanstack/react-query';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import type { ReactNode } from 'react';

import { ProblemError } from '../api/problem';
import { clockText } from '../api/time';
import { Denied } from './Denied';
import { ErrorPanel } from './ErrorPanel';
import { Loading } from './Loading';

interface Props<Data> {
  query: UseQueryResult<Data>;
  /** What loads: `your keys`. */
  label: string;
  /** The action that the call needs, named where it is denied. */
  action?: string;
  children: (data: Data) => ReactNode;
}

export function QueryView<Data>({ query, label, action, children }: Props<Data>) {
  const { data, error, dataUpdatedAt } = query;
  if (data === undefined) {
    if (!error) return <Loading label={label} />;
    if (action && error instanceof ProblemError && error.status === 403) return <Denied action={action} />;
    return <ErrorPanel error={error} onRetry={() => void query.refetch()} />;
  }
  // After 401 a dialog lies over the page, and says why nothing is new.
  const isStale = error !== null && !(error instanceof ProblemError && error.status === 401);
  return (
    <>
      {isStale && (
        <p className="stale-note">
          <StatusIndicator type="warning">
            Not updated since {clockText(new Date(dataUpdatedAt))}: {error.message}
          </StatusIndicator>
        </p>
      )}
      <div className={isStale ? 'stale' : undefined}>{children(data)}</div>
    </>
  );
}
