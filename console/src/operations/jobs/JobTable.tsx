// SPDX-License-Identifier: Apache-2.0
// A table of jobs with the state of each.
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';

import type { JobDocument } from '../../jobs/jobs';
import { jobSentence } from '../../jobs/jobSentence';
import { JobStatus } from '../../jobs/JobStatus';
import { countText } from '../figures';
import { Moment } from '../moments/Moment';
import { LaneLink } from '../runs/LaneLink';
import { JobLink } from './JobLink';

export function JobTable({ title, jobs }: { title: string; jobs: JobDocument[] }) {
  return (
    <Table
      variant="container"
      header={
        <Header variant="h2" counter={`(${countText(jobs.length)})`}>
          {title}
        </Header>
      }
      ariaLabels={{ tableLabel: title }}
      items={jobs}
      trackBy="job_id"
      wrapLines
      columnDefinitions={COLUMNS}
    />
  );
}

const COLUMNS = [
  { id: 'job', header: 'Job', isRowHeader: true, cell: (job: JobDocument) => <JobLink jobId={job.job_id} /> },
  { id: 'status', header: 'Status', minWidth: 120, cell: (job: JobDocument) => <JobStatus status={job.status} /> },
  { id: 'op', header: 'Write', cell: (job: JobDocument) => job.op },
  {
    id: 'run',
    header: 'Run',
    cell: (job: JobDocument) => <LaneLink lane={{ lane: job.lane, run_id: job.run_id, run_name: null }} />,
  },
  {
    id: 'accepted',
    header: 'Accepted',
    minWidth: 110,
    cell: (job: JobDocument) => <Moment at={job.accepted_at} relative={false} />,
  },
  {
    id: 'settled',
    header: 'Settled',
    minWidth: 110,
    cell: (job: JobDocument) => <Moment at={job.settled_at} relative={false} />,
  },
  { id: 'attempts', header: 'Attempts', cell: (job: JobDocument) => countText(job.attempts) },
  { id: 'why', header: 'What became of it', minWidth: 240, cell: (job: JobDocument) => jobSentence(job) },
];
