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

export function Answered<Data>({ query, label, action, missing, children }: Props<Data>) {
  const { data, error } = query;
  const status = error instanceof ProblemError ? error.status : null;
  // What has gone away meanwhile, or may not be seen any more, does not stay.
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

/** The shell says that the bridge does not answer, and a dialog that the session has ended; any other error stands here. */
function StaleNote<Data>({ query: { error, dataUpdatedAt } }: { query: UseQueryResult<Data> }) {
  if (!error || (error instanceof ProblemError && [0, 401].includes(error.status))) return null;
  return (
    <p className="stale-note">
      <StatusIndicator type="warning">
        Not updated since <Moment at={new Date(dataUpdatedAt).toISOString()} />: {error.message}
      </StatusIndicator>
    </p>
  );
}
