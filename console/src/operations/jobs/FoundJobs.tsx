// SPDX-License-Identifier: Apache-2.0
// The jobs that were found, by each interpretation of the search terms.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { Link } from '@tanstack/react-router';
import { useQueries, type UseQueryResult } from '@tanstack/react-query';

import { ErrorPanel } from '../../feedback/ErrorPanel';
import { Loading } from '../../feedback/Loading';
import { ProblemError } from '../../api/problem';
import { pollEvery } from '../../api/polling';
import { useLiveSettings } from '../live/live';
import { POLL_MS } from '../live/useLiveQuery';
import { type Interpretation, interpretationsOf, type LookupResult, runIdOf, runNameOf } from './lookUp';
import { OwnOnly } from '../states/OwnOnly';
import { JobTable } from './JobTable';
import { SettledRun, useSettledRun } from './NamedRun';

interface Props {
  terms: string[];
  client: string | undefined;
}

export function FoundJobs({ terms, client }: Props) {
  const { paused, minPeriodMs } = useLiveSettings();
  const interpretations = interpretationsOf(terms, client);
  const results = useQueries({
    queries: interpretations.map((interpretation) => ({
      queryKey: ['ops', 'look-up', interpretation.kind, client, ...terms],
      queryFn: ({ signal }: { signal: AbortSignal }) => interpretation.find(signal),
      retry: false,
      refetchInterval: paused ? (false as const) : pollEvery(Math.max(POLL_MS.list, minPeriodMs)),
      refetchOnWindowFocus: !paused,
    })),
  });
  const settledRun = useSettledRun(runNameOf(terms));
  if (results.some(({ isPending }) => isPending)) return <Loading label="the jobs" />;
  const isNothingFound = results.every(({ data, error }) => (error ? isNoMatch(error) : data?.jobs.length === 0));
  return (
    <SpaceBetween size="m">
      {settledRun && <SettledRun run={settledRun} />}
      {interpretations.map((interpretation, index) => (
        <InterpretationResult key={interpretation.kind} interpretation={interpretation} result={results[index]} />
      ))}
      <OwnOnly what="jobs" />
      {isNothingFound && !settledRun && <NothingFound terms={terms} interpretations={interpretations} />}
    </SpaceBetween>
  );
}

/** Returns whether an error says only that this interpretation of the terms is wrong or not permitted. */
function isNoMatch(error: Error): boolean {
  return error instanceof ProblemError && [400, 403, 404].includes(error.status);
}

function InterpretationResult({
  interpretation,
  result,
}: {
  interpretation: Interpretation;
  result: UseQueryResult<LookupResult> | undefined;
}) {
  if (result?.error && !isNoMatch(result.error)) return <ErrorPanel error={result.error} />;
  const { jobs = [], unknown = [] } = result?.data ?? {};
  return (
    <>
      {jobs.length > 0 && <JobTable title={`As ${interpretation.label}`} jobs={jobs} />}
      {jobs.length > 0 && unknown.length > 0 && <UnknownIds ids={unknown} />}
    </>
  );
}

function UnknownIds({ ids }: { ids: string[] }) {
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

function NothingFound({ terms, interpretations }: { terms: string[]; interpretations: Interpretation[] }) {
  return (
    <div role="status">
      <p>
        No such job, or settled more than 24 hours ago. {terms.length > 1 ? 'They were' : 'It was'} looked for as{' '}
        {interpretations.map(({ label }) => label).join('; as ')}.
      </p>
      {runIdOf(terms) ? (
        <p>
          By the id of a run, only writes that wait are found.{' '}
          <Link to="/ops/runs/$lane" params={{ lane: runIdOf(terms) ?? '' }}>
            See its dead letters
          </Link>
        </p>
      ) : (
        <p>By a request id, only writes that wait and dead letters are found: delivered ones keep no record.</p>
      )}
    </div>
  );
}
