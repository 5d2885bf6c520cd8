// SPDX-License-Identifier: Apache-2.0
// The page of the workers, the processes that deliver.
import Alert from '@cloudscape-design/components/alert';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';

import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { useNow } from '../moments/useNow';
import { RunbookLink } from '../runbook/RunbookLink';
import { LiveQueryView } from '../states/LiveQueryView';
import { PageHead } from '../states/PageHead';
import { StatusMark } from '../states/StatusMark';
import { isSilent, versionsOf, type Worker } from './worker';

const PATH = '/v1/workers';

export default function WorkersPage() {
  const query = useLiveQuery<{ workers: Worker[] }>({ path: PATH, pollMs: POLL_MS.list });
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Workers"
        counter={query.data && `(${query.data.workers.length})`}
        description="The processes that deliver writes to MLflow. Each reports every few seconds."
      />
      <LiveQueryView query={query} label="the workers" action="GetWorkers">
        {({ workers }) => <Workers workers={workers} />}
      </LiveQueryView>
      <EquivalentCommands command={bridgeCommand('workers')} call={{ method: 'GET', path: PATH }} />
    </SpaceBetween>
  );
}

function Workers({ workers }: { workers: Worker[] }) {
  const versions = versionsOf(workers);
  if (workers.length === 0) return <NoWorker />;
  return (
    <SpaceBetween size="m">
      {versions.length > 1 && (
        <Alert type="warning" header={`Versions differ: ${versions.join(', ')}`}>
          That is right during a deployment. After it, start the older workers again with the new version.
        </Alert>
      )}
      <Table
        variant="container"
        ariaLabels={{ tableLabel: 'Workers' }}
        items={workers}
        trackBy="name"
        wrapLines
        columnDefinitions={COLUMNS}
      />
    </SpaceBetween>
  );
}

function NoWorker() {
  return (
    <Alert type="error" header="No worker reports">
      Writes are accepted, and none is delivered. Start a worker; nothing is lost meanwhile.{' '}
      <RunbookLink section="#no-worker-delivers">What to do</RunbookLink>
    </Alert>
  );
}

const COLUMNS = [
  {
    id: 'name',
    header: 'Worker',
    isRowHeader: true,
    minWidth: 180,
    cell: (worker: Worker) => <span className="id">{worker.name}</span>,
  },
  { id: 'version', header: 'Version', cell: (worker: Worker) => worker.version },
  { id: 'started', header: 'Up since', minWidth: 130, cell: (worker: Worker) => <Moment at={worker.started_at} /> },
  { id: 'reported', header: 'Reported', minWidth: 140, cell: (worker: Worker) => <Reported worker={worker} /> },
  {
    id: 'delivering',
    header: 'Delivers',
    cell: (worker: Worker) => `${worker.delivering ?? '–'} of ${worker.concurrency ?? '–'}`,
  },
  { id: 'error', header: 'Last error', minWidth: 200, cell: (worker: Worker) => <LastError worker={worker} /> },
];

function Reported({ worker }: { worker: Worker }) {
  const now = useNow();
  const moment = <Moment at={worker.reported_at} relative="alone" />;
  return isSilent(worker, now) ? <StatusMark type="warning">{moment}</StatusMark> : moment;
}

function LastError({ worker: { last_error: error } }: { worker: Worker }) {
  if (!error) return 'none';
  return (
    <>
      <Moment at={error.at} relative="alone" />: {error.text}
    </>
  );
}
