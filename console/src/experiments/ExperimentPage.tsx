// SPDX-License-Identifier: Apache-2.0
// One experiment: its runs, the newest first.
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';

import { momentText } from '../api/time';
import { QueryView } from '../feedback/QueryView';
import { usePageTitle } from '../shell/usePageTitle';
import { experimentQuery, type Integer, type Run, runsQuery } from './mlflow';
import { RunStatus } from './RunStatus';

const route = getRouteApi('/shell/experiments/$experimentId');
const MAX_LISTED_METRICS = 3;

export default function ExperimentPage() {
  const { experimentId } = route.useParams();
  const experiment = useQuery(experimentQuery(experimentId));
  const runs = useInfiniteQuery(runsQuery(experimentId));
  const name = experiment.data?.name ?? `Experiment ${experimentId}`;
  usePageTitle(name);
  return (
    <SpaceBetween size="l">
      <div>
        <Link to="/">Experiments</Link>
        <Box variant="h1">{name}</Box>
      </div>
      <QueryView query={runs} label="the runs" action="SearchRuns">
        {({ pages }) => (
          <SpaceBetween size="s">
            <Table
              header={<Header>Runs</Header>}
              items={pages.flatMap((page) => page.runs ?? [])}
              trackBy={(run) => run.info.run_id}
              wrapLines
              columnDefinitions={COLUMNS}
              empty="No runs yet. A run appears here once MLflow has it."
            />
            {runs.hasNextPage && (
              <Button loading={runs.isFetchingNextPage} onClick={() => void runs.fetchNextPage()}>
                Show more
              </Button>
            )}
          </SpaceBetween>
        )}
      </QueryView>
    </SpaceBetween>
  );
}

const COLUMNS = [
  { id: 'run', header: 'Run', isRowHeader: true, cell: (run: Run) => <RunLink run={run} /> },
  { id: 'status', header: 'Status', cell: (run: Run) => <RunStatus status={run.info.status} /> },
  { id: 'started', header: 'Started', cell: (run: Run) => timeOf(run.info.start_time) },
  { id: 'metrics', header: 'Latest metrics', cell: metricsText },
];

function RunLink({ run }: { run: Run }) {
  return (
    <Link to="/runs/$runId" params={{ runId: run.info.run_id }}>
      {run.info.run_name || run.info.run_id}
    </Link>
  );
}

function metricsText({ data }: Run): string {
  const metrics = data.metrics ?? [];
  const listed = metrics.slice(0, MAX_LISTED_METRICS).map(({ key, value }) => `${key} ${value}`);
  const more = metrics.length > MAX_LISTED_METRICS ? [`${metrics.length - MAX_LISTED_METRICS} more`] : [];
  return [...listed, ...more].join(', ') || '–';
}

function timeOf(milliseconds: Integer | undefined): string {
  return milliseconds === undefined ? '–' : momentText(Number(milliseconds));
}
