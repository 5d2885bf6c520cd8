// SPDX-License-Identifier: Apache-2.0
// The page of one job. It polls a pending job until it is settled.
import Alert from '@cloudscape-design/components/alert';
import Container from '@cloudscape-design/components/container';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { getRouteApi, Link } from '@tanstack/react-router';

import { CopyButton } from '../../feedback/CopyButton';
import type { JobDocument } from '../../jobs/jobs';
import { jobSentence } from '../../jobs/jobSentence';
import { JobStatus } from '../../jobs/JobStatus';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { Moment } from '../moments/Moment';
import { LaneLink } from '../runs/LaneLink';
import { LiveQueryView } from '../states/LiveQueryView';
import { PageHead } from '../states/PageHead';
import { jobPath, useWaitedJob } from './useWaitedJob';

const route = getRouteApi('/shell/ops/jobs/$jobId');

export default function JobPage() {
  const { jobId } = route.useParams();
  const query = useWaitedJob(jobId);
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Job"
        description={
          <>
            <span className="id">{jobId}</span> <CopyButton text={jobId} label="the job's id" />
          </>
        }
      />
      <LiveQueryView query={query} label="the job" action="GetJob" missing={<NoSuchJob />}>
        {(job) => <JobDetails job={job} isWaiting={query.isFetching} />}
      </LiveQueryView>
      <EquivalentCommands
        command={bridgeCommand('jobs', 'show', jobId)}
        call={{ method: 'GET', path: jobPath(jobId) }}
      />
    </SpaceBetween>
  );
}

function NoSuchJob() {
  return (
    <Alert type="info" header="No such job, or settled more than 24 hours ago">
      <Link to="/ops/jobs">Look for it by a run, a request id or an idempotency key</Link>
    </Alert>
  );
}

function JobDetails({ job, isWaiting }: { job: JobDocument; isWaiting: boolean }) {
  return (
    <Container>
      <SpaceBetween size="m">
        <div role="status">
          <JobStatus status={job.status} />
          <div>{jobSentence(job)}</div>
        </div>
        {job.status === 'pending' && isWaiting && (
          <StatusIndicator type="loading">The page waits for its delivery, and shows it at once.</StatusIndicator>
        )}
        <KeyValuePairs columns={3} items={jobPairs(job)} />
        {job.status === 'dead' && (
          <Link to="/ops/dead-letters" search={job.run_id === null ? {} : { run: job.run_id }}>
            Find its dead letter, to replay or discard it
          </Link>
        )}
      </SpaceBetween>
    </Container>
  );
}

function jobPairs(job: JobDocument) {
  const { upstream } = job;
  return [
    { label: 'Write', value: job.op },
    { label: 'Run', value: <LaneLink lane={{ lane: job.lane, run_id: job.run_id, run_name: null }} /> },
    { label: 'Attempts', value: job.attempts },
    { label: 'Accepted', value: <Moment at={job.accepted_at} full /> },
    { label: 'Settled', value: <Moment at={job.settled_at} full placeholder="not yet" /> },
    { label: 'Next attempt', value: <Moment at={job.next_attempt_at} full /> },
    { label: "Upstream's answer", value: upstream ? upstreamAnswerText(upstream) : '–' },
    { label: "Upstream's request id", value: upstream?.request_id ?? '–' },
  ];
}

function upstreamAnswerText({ status, error_code: code, message }: NonNullable<JobDocument['upstream']>): string {
  return [status, code, message].filter(Boolean).join(' ');
}
