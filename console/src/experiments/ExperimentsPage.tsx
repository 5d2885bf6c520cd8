// SPDX-License-Identifier: Apache-2.0
// The experiments of a client that is limited to them, in place of MLflow's UI.
import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { Link, Navigate } from '@tanstack/react-router';

import { momentText } from '../api/time';
import { usePageTitle } from '../shell/usePageTitle';
import { linkTarget } from './mlflowLink';
import { experimentQuery } from './mlflow';

export default function ExperimentsPage({ ids }: { ids: string[] }) {
  usePageTitle('Experiments');
  const target = linkTarget(window.location.hash);
  if (target?.runId) return <Navigate to="/runs/$runId" params={{ runId: target.runId }} replace />;
  if (target?.experimentId) {
    return <Navigate to="/experiments/$experimentId" params={{ experimentId: target.experimentId }} replace />;
  }
  return (
    <SpaceBetween size="l">
      <Box variant="h1">Experiments</Box>
      <LimitedAccessNote />
      <Table
        ariaLabels={{ tableLabel: 'Your experiments' }}
        items={ids}
        columnDefinitions={COLUMNS}
        empty="You may use no experiment. Ask an operator to name one for you."
      />
    </SpaceBetween>
  );
}

function LimitedAccessNote() {
  return (
    <Alert type="info">
      You may use certain experiments only. MLflow&apos;s own pages search all experiments at once, which is denied to
      you, so the portal shows pages of its own here.
    </Alert>
  );
}

const COLUMNS = [
  { id: 'name', header: 'Name', isRowHeader: true, cell: (id: string) => <ExperimentLink id={id} /> },
  { id: 'id', header: 'Id', cell: (id: string) => <span className="id">{id}</span> },
  { id: 'updated', header: 'Last change', cell: (id: string) => <LastChange id={id} /> },
];

function ExperimentLink({ id }: { id: string }) {
  const { data, error } = useQuery(experimentQuery(id));
  return (
    <>
      <Link to="/experiments/$experimentId" params={{ experimentId: id }}>
        {data?.name ?? `Experiment ${id}`}
      </Link>
      {error && ` (${error.message})`}
    </>
  );
}

function LastChange({ id }: { id: string }) {
  const { data } = useQuery(experimentQuery(id));
  return data?.last_update_time === undefined ? '–' : momentText(Number(data.last_update_time));
}
