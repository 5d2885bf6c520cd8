// SPDX-License-Identifier: Apache-2.0
// The run of a name that was looked up. Jobs that are settled keep no record of the name, but the run is known.
import Alert from '@cloudscape-design/components/alert';
import { Link } from '@tanstack/react-router';

import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { MlflowLink } from '../runs/MlflowLink';
import { JobLink } from './JobLink';

type NamedRunDocument = { run: string } & (
  | { state: 'pending' }
  | { state: 'created'; run_id: string }
  /** The job and its reason are stated to its client and to operators only. */
  | { state: 'dead'; job_id: string | null; reason: string | null }
);

/** Returns the run of a name that is created or can't be; null while it is pending, for another name, and for no name. */
export function useSettledRun(name: string | null): NamedRunDocument | null {
  const path = `/v1/runs/${encodeURIComponent(name ?? '')}`;
  const { data } = useLiveQuery<NamedRunDocument>({ path, pollMs: POLL_MS.slow, enabled: name !== null });
  return data && data.state !== 'pending' ? data : null;
}

export function SettledRun({ run }: { run: NamedRunDocument }) {
  if (run.state === 'created') {
    return (
      <Alert type="info" header={`MLflow has the run ${run.run}`}>
        Its id is <span className="id">{run.run_id}</span>.{' '}
        <Link to="/ops/runs/$lane" params={{ lane: run.run_id }}>
          See what waits of it
        </Link>{' '}
        <MlflowLink runId={run.run_id} />
      </Alert>
    );
  }
  if (run.state === 'pending') return null;
  return (
    <Alert type="warning" header={`The run ${run.run} is not created`}>
      Its creation is a dead letter{run.reason ? `: ${run.reason}` : '.'} {run.job_id && <JobLink jobId={run.job_id} />}
    </Alert>
  );
}
