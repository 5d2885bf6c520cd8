// SPDX-License-Identifier: Apache-2.0
// The writes of a lane that wait, in the order of their delivery.
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';

import type { JobDocument } from '../../jobs/jobs';
import { countText } from '../figures';
import { JobLink } from '../jobs/JobLink';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { callPath } from '../search';
import { LiveQueryView } from '../states/LiveQueryView';
import type { Lane } from './lanes';

const MAX_JOBS = 50;

interface JobPage {
  jobs: JobDocument[];
  next: string | null;
}

export function LaneJobs({ lane }: { lane: Lane }) {
  const query = useLiveQuery<JobPage>({
    path: callPath('/v1/jobs', { lane: lane.lane, status: 'pending', limit: MAX_JOBS }),
    pollMs: POLL_MS.list,
    keepsRows: true,
  });
  return (
    <LiveQueryView query={query} label="the writes of the run" action="GetJob">
      {({ jobs }) => <JobTable lane={lane} jobs={jobs} />}
    </LiveQueryView>
  );
}

function JobTable({ lane, jobs }: { lane: Lane; jobs: JobDocument[] }) {
  const shown =
    jobs.length < lane.pending ? `(the first ${jobs.length} of ${countText(lane.pending)})` : `(${jobs.length})`;
  return (
    <Table
      variant="container"
      header={
        <Header variant="h2" counter={shown} description={<Strip lane={lane} jobs={jobs} />}>
          Its writes, in the order of delivery
        </Header>
      }
      ariaLabels={{ tableLabel: 'Writes that wait' }}
      items={jobs}
      trackBy="job_id"
      wrapLines
      columnDefinitions={COLUMNS}
      empty="No write waits."
    />
  );
}

/** The lane as a strip of writes: what is sent now, what failed, what waits. */
function Strip({ lane, jobs }: { lane: Lane; jobs: JobDocument[] }) {
  const sentence = stripSentence(lane);
  return (
    <span className="strip" role="img" aria-label={sentence} title={sentence}>
      {jobs.map((job, index) => (
        <span key={job.job_id} className={`strip-job strip-${stripState(lane, job, index)}`} />
      ))}
      {jobs.length < lane.pending && <span>…</span>}
    </span>
  );
}

function stripState(lane: Lane, job: JobDocument, index: number): string {
  if (lane.delivering && index === 0) return 'sent';
  return job.attempts > 0 || (index === 0 && lane.attempts > 0) ? 'failed' : 'waits';
}

function stripSentence({ delivering, attempts, pending }: Lane): string {
  if (delivering) return `The first of ${countText(pending)} writes is sent now.`;
  return attempts > 0 ? `The first of ${countText(pending)} writes has failed.` : `${countText(pending)} writes wait.`;
}

const COLUMNS = [
  { id: 'job', header: 'Job', isRowHeader: true, cell: (job: JobDocument) => <JobLink jobId={job.job_id} /> },
  { id: 'op', header: 'Write', cell: (job: JobDocument) => job.op },
  { id: 'accepted', header: 'Accepted', minWidth: 170, cell: (job: JobDocument) => <Moment at={job.accepted_at} /> },
  { id: 'attempts', header: 'Failed attempts', cell: (job: JobDocument) => countText(job.attempts) },
  { id: 'error', header: 'Last error', minWidth: 200, cell: (job: JobDocument) => job.error?.message ?? '–' },
];
