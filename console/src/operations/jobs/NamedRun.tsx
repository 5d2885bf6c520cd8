// SPDX-License-Identifier: Apache-2.0
// The run of a name that was looked up. Jobs that are settled keep no record of the name, but the run is known.
import Alert from '@cloudscape-design/components/alert';
import { Link } from '@tanstack/react-router';

import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { MlflowLink } from '../runs/MlflowLink';

interface NamedRunDocument {
  run: string;
  state: 'pending' | 'created' | 'dead';
  /** Null until MLflow has the run. */
  run_id: string | null;
}

/** Returns the run of a name once MLflow has it; null for another name, and for no name. */
export function useCreatedRun(name: string | null): NamedRunDocument | null {
  const path = `/v1/runs/${encodeURIComponent(name ?? '')}`;
  const { data } = useLiveQuery<NamedRunDocument>({ path, pollMs: POLL_MS.slow, enabled: name !== null });
  return data?.state === 'created' ? data : null;
}

export function CreatedRun({ run: { run, run_id: runId } }: { run: NamedRunDocument }) {
  if (runId === null) return null;
  return (
    <Alert type="info" header={`MLflow has the run ${run}`}>
      Its id is <span className="id">{runId}</span>.{' '}
      <Link to="/ops/runs/$lane" params={{ lane: runId }}>
        See what waits of it
      </Link>{' '}
      <MlflowLink runId={runId} />
    </Alert>
  );
}
