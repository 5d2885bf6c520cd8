// SPDX-License-Identifier: Apache-2.0
// A link to the run in MLflow's UI. The address has the run's experiment in it, so MLflow is asked for the run.
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { runQuery } from '../../experiments/mlflow';
import { useIsAllowed, useSession } from '../../session/SessionContext';

const ACTION = 'GetRun';

export function MlflowLink({ runId }: { runId: string }) {
  const { experiments } = useSession();
  const isAllowed = useIsAllowed(ACTION);
  const { data, error } = useQuery({ ...runQuery(runId), enabled: isAllowed, refetchInterval: false, retry: false });
  if (!isAllowed) return <span className="note">To open it in MLflow needs the action {ACTION}.</span>;
  if (error) return <span className="note">MLflow does not show this run: {error.message}</span>;
  if (!data) return null;
  if (experiments !== null) {
    return (
      <Link to="/runs/$runId" params={{ runId }}>
        Open the run
      </Link>
    );
  }
  return (
    <Link to="/" hash={`/experiments/${data.info.experiment_id}/runs/${runId}`}>
      Open in MLflow
    </Link>
  );
}
