// SPDX-License-Identifier: Apache-2.0
// One run: a chart of a metric, its latest metrics, params and tags.
import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';

import { momentText } from '../api/time';
import { QueryView } from '../feedback/QueryView';
import { usePageTitle } from '../shell/usePageTitle';
import { MetricChart } from './MetricChart';
import { type Integer, type Metric, type Pair, type Run, runQuery } from './mlflow';
import { RunStatus } from './RunStatus';

const route = getRouteApi('/shell/runs/$runId');

export default function RunPage() {
  const { runId } = route.useParams();
  const query = useQuery(runQuery(runId));
  const name = query.data?.info.run_name || `Run ${runId}`;
  usePageTitle(name);
  return (
    <SpaceBetween size="l">
      <Box variant="h1">{name}</Box>
      <QueryView query={query} label="the run" action="GetRun">
        {(run) => <RunView run={run} />}
      </QueryView>
    </SpaceBetween>
  );
}

function RunView({ run: { info, data } }: { run: Run }) {
  const metrics = data.metrics ?? [];
  return (
    <SpaceBetween size="l">
      <KeyValuePairs
        columns={4}
        items={[
          { label: 'Status', value: <RunStatus status={info.status} /> },
          { label: 'Run id', value: <span className="id">{info.run_id}</span> },
          { label: 'Experiment', value: <ExperimentLink id={info.experiment_id} /> },
          { label: 'Started, ended', value: `${timeOf(info.start_time)}, ${timeOf(info.end_time)}` },
        ]}
      />
      {metrics.length > 0 && <ChartPanel runId={info.run_id} metrics={metrics} />}
      <Table
        header={<Header>Latest metrics</Header>}
        items={metrics}
        columnDefinitions={METRIC_COLUMNS}
        empty="No metrics."
      />
      <PairTable title="Params" pairs={data.params ?? []} />
      <PairTable title="Tags" pairs={data.tags ?? []} />
    </SpaceBetween>
  );
}

function ExperimentLink({ id }: { id: string }) {
  return (
    <Link to="/experiments/$experimentId" params={{ experimentId: id }}>
      {id}
    </Link>
  );
}

function ChartPanel({ runId, metrics }: { runId: string; metrics: Metric[] }) {
  const [chosenMetric, setChosenMetric] = useState(metrics[0]?.key ?? '');
  const options = metrics.map(({ key }) => ({ value: key, label: key }));
  return (
    <Container header={<Header>Metric over steps</Header>}>
      <SpaceBetween size="m">
        <FormField label="Metric">
          <Select
            selectedOption={{ value: chosenMetric, label: chosenMetric }}
            options={options}
            filteringType="auto"
            onChange={({ detail }) => setChosenMetric(detail.selectedOption.value ?? '')}
          />
        </FormField>
        <MetricChart key={chosenMetric} runId={runId} metric={chosenMetric} />
      </SpaceBetween>
    </Container>
  );
}

function PairTable({ title, pairs }: { title: string; pairs: Pair[] }) {
  return (
    <Table
      header={<Header counter={`(${pairs.length})`}>{title}</Header>}
      items={pairs}
      trackBy="key"
      wrapLines
      columnDefinitions={PAIR_COLUMNS}
      empty={`No ${title.toLowerCase()}.`}
    />
  );
}

const METRIC_COLUMNS = [
  { id: 'key', header: 'Metric', isRowHeader: true, cell: (metric: Metric) => metric.key },
  { id: 'value', header: 'Value', cell: (metric: Metric) => String(metric.value) },
  { id: 'step', header: 'Step', cell: (metric: Metric) => String(metric.step ?? 0) },
  { id: 'time', header: 'Time', cell: (metric: Metric) => momentText(Number(metric.timestamp)) },
];

const PAIR_COLUMNS = [
  { id: 'key', header: 'Name', isRowHeader: true, cell: (pair: Pair) => pair.key },
  { id: 'value', header: 'Value', cell: (pair: Pair) => pair.value },
];

function timeOf(milliseconds: Integer | undefined): string {
  return milliseconds === undefined ? '–' : momentText(Number(milliseconds));
}
