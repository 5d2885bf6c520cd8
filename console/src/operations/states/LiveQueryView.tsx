// SPDX-License-Identifier: Apache-2.0
// Shows what a query of operations has fetched, or its state: loading, denied, failed, or stale.
import type { UseQueryResult } from '@tanstack/react-query';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import type { ReactNode } from 'react';

import { ProblemError } from '../../api/problem';
import { Denied } from '../../feedback/Denied';
import { ErrorPanel } from '../../feedback/ErrorPanel';
import { Loading } from '../../feedback/Loading';
import { Moment } from '../moments/Moment';

interface Props<Data> {
  query: UseQueryResult<Data>;
  /** What loads: `the runs`. */
  label: string;
  /** The action that the call needs, named where it is denied. */
  action: string;
  /** What stands in place of an error panel for 404. */
  missing?: ReactNode;
  children: (data: Data) => ReactNode;
}

export function LiveQueryView<Data>({ query, label, action, missing, children }: Props<Data>) {
  const { data, error } = query;
  const status = error instanceof ProblemError ? error.status : null;
  // Older data does not stay on the page when it is gone meanwhile, or when the visitor may no longer see it.
  if (status === 404 && missing) return <>{missing}</>;
  if (status === 403) return <Denied action={action} />;
  if (data === undefined) {
    return error ? <ErrorPanel error={error} onRetry={() => void query.refetch()} /> : <Loading label={label} />;
  }
  return (
    <>
      <StaleNote query={query} />
      <div className={error ? 'stale' : undefined} aria-busy={query.isPlaceholderData}>
        {children(data)}
      </div>
    </>
  );
}

/** Shows any error but two: the shell shows a bridge that does not answer, and a dialog the end of the session. */
function StaleNote<Data>({ query: { error, dataUpdatedAt } }: { query: UseQueryResult<Data> }) {
  if (!error || (error instanceof ProblemError && (error.isUnreachable || error.status === 401))) return null;
  return (
    <p className="stale-note">
      <StatusIndicator type="warning">
        Not updated since <Moment at={new Date(dataUpdatedAt).toISOString()} />: {error.message}
      </StatusIndicator>
    </p>
  );
}
