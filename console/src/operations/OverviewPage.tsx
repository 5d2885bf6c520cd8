// SPDX-License-Identifier: Apache-2.0
// Operations: how the bridge is doing, from `GET /v1/backlog` and `GET /readyz`.
import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQuery } from '@tanstack/react-query';

import { formatExactJson } from '../api/exactJson';
import { momentText } from '../api/time';
import { CodeBlock } from '../feedback/CodeBlock';
import { Denied } from '../feedback/Denied';
import { Fetched } from '../feedback/Fetched';
import { useMay, useSession } from '../session/SessionContext';
import { usePageTitle } from '../shell/usePageTitle';
import { type Backlog, backlogQuery, type Readiness, readinessQuery } from './operations';

export default function OverviewPage() {
  usePageTitle('Operations');
  const may = useMay('GetBacklog');
  const { console_host: consoleHost } = useSession();
  return (
    <SpaceBetween size="l">
      <Box variant="h1">Operations</Box>
      {consoleHost && consoleHost !== window.location.host && (
        <p>
          Operators work at <a href={`https://${consoleHost}/app/ops`}>{consoleHost}</a>.
        </p>
      )}
      {may ? <Overview /> : <Denied action="GetBacklog" />}
    </SpaceBetween>
  );
}

function Overview() {
  const backlog = useQuery(backlogQuery);
  const readiness = useQuery(readinessQuery);
  return (
    <SpaceBetween size="l">
      <Fetched query={backlog} what="the backlog" action="GetBacklog">
        {(data) => <BacklogPanel backlog={data} />}
      </Fetched>
      <Fetched query={readiness} what="the readiness">
        {(data) => <ReadinessPanel readiness={data} />}
      </Fetched>
    </SpaceBetween>
  );
}

function BacklogPanel({ backlog }: { backlog: Backlog }) {
  return (
    <Container
      header={<Header description="Writes that are accepted and not in MLflow yet, of all clients.">Backlog</Header>}
    >
      <KeyValuePairs
        columns={3}
        items={[
          { label: 'Runs with waiting writes', value: backlog.lanes.toLocaleString('en') },
          { label: 'Bytes of waiting writes and dead letters', value: backlog.bytes.toLocaleString('en') },
          { label: 'Dead letters', value: backlog.dead_letters.toLocaleString('en') },
          { label: 'Oldest write accepted', value: momentOr(backlog.oldest_accepted_at, 'None waits') },
          { label: 'A run has been due since', value: momentOr(backlog.oldest_due, 'None is due') },
        ]}
      />
    </Container>
  );
}

const STATUSES = {
  ready: { type: 'success', text: 'Ready: writes are accepted and delivered.' },
  degraded: { type: 'warning', text: 'Degraded: writes are accepted; something behind the store needs attention.' },
  unavailable: { type: 'error', text: 'Unavailable: writes are not accepted.' },
} as const;

function ReadinessPanel({ readiness }: { readiness: Readiness }) {
  const { status, ...parts } = readiness;
  const { type, text } = STATUSES[status];
  return (
    <Container
      header={
        <Header description="Asked for when the page opens: the check calls upstream, so it is not repeated by itself.">
          Readiness
        </Header>
      }
    >
      <SpaceBetween size="m">
        <StatusIndicator type={type}>{text}</StatusIndicator>
        {Object.entries(parts).map(([name, part]) => (
          <div key={name}>
            <strong>{name}</strong>
            <CodeBlock code={typeof part === 'string' ? part : formatExactJson(part)} what={`the state of ${name}`} />
          </div>
        ))}
      </SpaceBetween>
    </Container>
  );
}

function momentOr(moment: string | null, otherwise: string): string {
  return moment ? momentText(moment) : otherwise;
}
