// SPDX-License-Identifier: Apache-2.0
// One run: what waits and why, its writes in their order, and its dead letters.
import Alert from '@cloudscape-design/components/alert';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi, Link } from '@tanstack/react-router';

import { CopyButton } from '../../feedback/CopyButton';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { countText, sizeText } from '../figures';
import { Moment } from '../moments/Moment';
import { useNow } from '../moments/useNow';
import { useZone } from '../moments/zone';
import { failureSection } from '../runbook/failureSection';
import { RunbookLink } from '../runbook/RunbookLink';
import { LiveQueryView } from '../states/LiveQueryView';
import { PageHead } from '../states/PageHead';
import { OwnOnly } from '../states/OwnOnly';
import { StatusMark } from '../states/StatusMark';
import { LaneJobs } from './LaneJobs';
import { LaneLetters } from './LaneLetters';
import { attemptPath, type Lane, useLane } from './lanes';
import { errorReason, laneName, laneSentence, laneStateType, nextAttemptText, runIdOfLane } from './laneText';
import { MlflowLink } from './MlflowLink';
import { AttemptButton } from './AttemptButton';

const route = getRouteApi('/shell/ops/runs/$lane');

export default function RunPage() {
  const { lane } = route.useParams();
  const query = useLane(lane);
  const name = query.data ? laneName(query.data) : laneName({ lane, run_name: null });
  const runId = query.data ? query.data.run_id : runIdOfLane(lane);
  return (
    <SpaceBetween size="m">
      <PageHead
        title={name}
        tab={`${name} · Run`}
        description={
          <>
            <span className="id">{lane}</span> <CopyButton text={lane} label="the lane" />
          </>
        }
        actions={runId && <MlflowLink runId={runId} />}
      />
      <OwnOnly what="writes and dead letters" />
      <LiveQueryView query={query} label="the run" action="GetBacklog" missing={<NothingWaits />}>
        {(data) => (data.pending > 0 ? <Waiting lane={data} /> : <NothingWaits />)}
      </LiveQueryView>
      <LaneLetters lane={lane} runId={runId} />
    </SpaceBetween>
  );
}

function NothingWaits() {
  return (
    <Alert type="info" header="Nothing of this run waits">
      Its writes are delivered or dead letters, or the bridge has never had any.{' '}
      <Link to="/ops/runs">See the runs that wait</Link>
    </Alert>
  );
}

function Waiting({ lane }: { lane: Lane }) {
  const now = useNow();
  const zone = useZone();
  return (
    <SpaceBetween size="m">
      <Container
        header={
          <Header variant="h2" actions={<AttemptButton lane={lane} />}>
            What waits
          </Header>
        }
      >
        <SpaceBetween size="m">
          <div>
            <StatusMark type={laneStateType(lane.state)}>{lane.state}</StatusMark>
            <div>{laneSentence(lane, now, zone)}</div>
            {lane.error && <RunbookLink section={runbookSection(lane.error)}>What to do</RunbookLink>}
          </div>
          <KeyValuePairs
            columns={4}
            items={[
              { label: 'Writes', value: `${countText(lane.pending)}, ${sizeText(lane.bytes)}` },
              { label: 'Client', value: <ClientLink name={lane.client} /> },
              { label: 'Oldest accepted', value: <Moment at={lane.oldest_accepted_at} full /> },
              {
                label: 'Next attempt',
                value: nextAttemptText(lane, now) ?? <Moment at={lane.next_attempt_at} full />,
              },
            ]}
          />
          <EquivalentCommands
            command={bridgeCommand('lanes', 'attempt', lane.lane)}
            call={{ method: 'POST', path: attemptPath(lane.lane) }}
          />
        </SpaceBetween>
      </Container>
      <LaneJobs lane={lane} />
    </SpaceBetween>
  );
}

const RUNBOOK_SECTIONS: Record<string, string> = {
  denied: '#upstream-denies-an-action',
  throttled: '#throttled',
  unknown: '#upstream-is-too-slow-for-large-calls',
};

/** Returns the section of the runbook for a lane's error: for a failing upstream, the one that the overview names. */
function runbookSection(error: { reason: string; message: string }): string {
  return RUNBOOK_SECTIONS[errorReason(error)] ?? failureSection(error.message);
}

function ClientLink({ name }: { name: string | null }) {
  if (name === null) return '–';
  return (
    <Link to="/ops/clients/$name" params={{ name }}>
      {name}
    </Link>
  );
}
