// SPDX-License-Identifier: Apache-2.0
// What was found, by each way to read what was typed.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQueries, type UseQueryResult } from '@tanstack/react-query';

import { ErrorPanel } from '../../feedback/ErrorPanel';
import { Loading } from '../../feedback/Loading';
import { ProblemError } from '../../api/problem';
import { pollEvery } from '../../api/polling';
import { useLiveSettings } from '../live/live';
import { POLL_MS } from '../live/useLiveQuery';
import { type Found, type Way, waysOf } from './lookUp';
import { JobTable } from './JobTable';

interface Props {
  terms: string[];
  client: string | undefined;
}

export function FoundJobs({ terms, client }: Props) {
  const { paused, minPeriodMs } = useLiveSettings();
  const ways = waysOf(terms, client);
  const results = useQueries({
    queries: ways.map((way) => ({
      queryKey: ['ops', 'look-up', way.kind, client, ...terms],
      queryFn: ({ signal }: { signal: AbortSignal }) => way.find(signal),
      retry: false,
      refetchInterval: paused ? (false as const) : pollEvery(Math.max(POLL_MS.list, minPeriodMs)),
      refetchOnWindowFocus: !paused,
    })),
  });
  if (results.some(({ isPending }) => isPending)) return <Loading label="the jobs" />;
  const nothing = results.every(({ data, error }) => (error ? isNothing(error) : data?.jobs.length === 0));
  return (
    <SpaceBetween size="m">
      {ways.map((way, index) => (
        <WayResult key={way.kind} way={way} result={results[index]} />
      ))}
      {nothing && <NothingFound terms={terms} ways={ways} />}
    </SpaceBetween>
  );
}

/** What a way of reading cannot take is no error: it is then one of the others. */
function isNothing(error: Error): boolean {
  return error instanceof ProblemError && [400, 403, 404].includes(error.status);
}

function WayResult({ way, result }: { way: Way; result: UseQueryResult<Found> | undefined }) {
  if (result?.error && !isNothing(result.error)) return <ErrorPanel error={result.error} />;
  const { jobs = [], unknown = [] } = result?.data ?? {};
  return (
    <>
      {jobs.length > 0 && <JobTable title={`As ${way.as}`} jobs={jobs} />}
      {jobs.length > 0 && unknown.length > 0 && <Unknown ids={unknown} />}
    </>
  );
}

function Unknown({ ids }: { ids: string[] }) {
  return (
    <div role="status">
      No such job, or settled more than 24 hours ago:
      <ul>
        {ids.map((id) => (
          <li key={id} className="id">
            {id}
          </li>
        ))}
      </ul>
    </div>
  );
}

function NothingFound({ terms, ways }: { terms: string[]; ways: Way[] }) {
  return (
    <div role="status">
      <p>
        No such job, or settled more than 24 hours ago. {terms.length > 1 ? 'They were' : 'It was'} looked for as{' '}
        {ways.map(({ as }) => as).join('; as ')}.
      </p>
      <p>By a request id, only writes that wait and dead letters are found: delivered ones keep no record.</p>
    </div>
  );
}
