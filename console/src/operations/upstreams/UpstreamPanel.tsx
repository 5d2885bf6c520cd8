// SPDX-License-Identifier: Apache-2.0
// One upstream: its flow control, the outcomes of its calls, and buttons to probe and to pause it.
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { CopyButton } from '../../feedback/CopyButton';
import { countText, rateText, significant } from '../figures';
import { Moment } from '../moments/Moment';
import { NextCall } from '../moments/NextCall';
import type { Gate } from '../overview/overview';
import { failureSection } from '../runbook/failureSection';
import { RunbookLink } from '../runbook/RunbookLink';
import { StatusMark } from '../states/StatusMark';
import { gateState } from './gateSentence';
import { Outcomes } from './Outcomes';
import { PauseButton } from './PauseButton';
import { ProbeButton, ProbeResult, useProbe } from './Probe';
import type { Upstream } from './upstream';

const KINDS: Record<string, string> = {
  'tracking-server': 'SageMaker tracking server',
  app: 'SageMaker MLflow app',
  mlflow: 'MLflow server',
};

export function UpstreamPanel({ upstream }: { upstream: Upstream }) {
  const { name, kind, region, gate } = upstream;
  const probeMutation = useProbe(upstream.id);
  return (
    <Container
      header={
        <Header
          variant="h2"
          description={[KINDS[kind] ?? kind, region].filter(Boolean).join(', ')}
          actions={
            <SpaceBetween size="xs" direction="horizontal">
              <ProbeButton probeMutation={probeMutation} />
              <PauseButton upstream={upstream} />
            </SpaceBetween>
          }
        >
          <span className="id">{name}</span> <CopyButton text={name} label="the name" />
        </Header>
      }
    >
      <SpaceBetween size="m">
        <GateLine gate={gate} />
        <ProbeResult probeMutation={probeMutation} upstreamId={upstream.id} isBreakerOpen={gate.breaker !== 'closed'} />
        <KeyValuePairs
          columns={4}
          items={[
            { label: 'Rate', value: limitText(gate) },
            { label: 'Burst', value: burstText(gate) },
            { label: 'Last delivery', value: <Moment at={gate.delivered_at} placeholder="none known" /> },
            { label: 'Failed probes', value: countText(Math.max(0, upstream.trips - 1)) },
          ]}
        />
        <Outcomes outcomes={upstream.outcomes} />
      </SpaceBetween>
    </Container>
  );
}

function limitText({ rate, configured_rate: configured }: Gate): string {
  if (rate === null) return 'no limit';
  return configured !== null && rate < configured ? `${rateText(rate)} of ${rateText(configured)}` : rateText(rate);
}

function burstText({ bucket, burst }: Gate): string {
  if (burst === null) return 'no limit';
  return bucket === null ? `${significant(burst)} calls` : `${significant(bucket)} of ${significant(burst)} calls`;
}

function GateLine({ gate }: { gate: Gate }) {
  const { type, text } = gateState(gate);
  const { paused, since, opens_again_at: nextAt } = gate;
  return (
    <div>
      <StatusMark type={type}>{text}</StatusMark>
      {paused && (
        <div>
          By {paused.by} at <Moment at={paused.since} />, until{' '}
          <Moment at={paused.until} placeholder="an operator resumes" />. Reads and new writes go on.
        </div>
      )}
      {!paused && since && (
        <div>
          Since <Moment at={since} />
          {nextAt && (
            <>
              , <NextCall at={nextAt} />
            </>
          )}
          . <RunbookLink section={failureSection(gate.why)}>What to do</RunbookLink>
        </div>
      )}
    </div>
  );
}
