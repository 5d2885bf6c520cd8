// SPDX-License-Identifier: Apache-2.0
// The visitor's writes that MLflow has not got yet.
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';
import { useInfiniteQuery } from '@tanstack/react-query';

import { ProblemError } from '../api/problem';
import { momentText } from '../api/time';
import { QueryView } from '../feedback/QueryView';
import { type JobDocument, pendingJobsQuery } from './jobs';
import { jobSentence } from './jobSentence';
import { ShortId } from './ShortId';

export function PendingJobs({ run }: { run: string | null }) {
  const query = useInfiniteQuery(pendingJobsQuery(run));
  if (run === null && query.error instanceof ProblemError && query.error.status === 400) {
    return <p>This version of the bridge lists pending jobs by run. Name a run above to see those of it.</p>;
  }
  return (
    <QueryView query={query} label="your pending jobs" action="GetJob">
      {({ pages }) => {
        const jobs = pages.flatMap((page) => page.jobs);
        return (
          <>
            <Table
              variant="container"
              header={<Header counter={listCountText(jobs.length, query.hasNextPage)}>Pending</Header>}
              items={jobs}
              trackBy="job_id"
              wrapLines
              columnDefinitions={COLUMNS}
              empty={
                run === null
                  ? 'None of your writes wait: MLflow has them all.'
                  : 'None of your writes to this run wait.'
              }
            />
            {query.hasNextPage && (
              <Button loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                Show more
              </Button>
            )}
          </>
        );
      }}
    </QueryView>
  );
}

/** Returns the count of a list that may go on: `(50+)`. */
export function listCountText(shown: number, hasMore: boolean): string {
  return `(${shown}${hasMore ? '+' : ''})`;
}

const COLUMNS = [
  { id: 'job', header: 'Job', isRowHeader: true, cell: (job: JobDocument) => <ShortId id={job.job_id} label="job" /> },
  { id: 'op', header: 'Write', minWidth: 120, cell: (job: JobDocument) => job.op },
  { id: 'run', header: 'Run', cell: (job: JobDocument) => <ShortId id={job.run_id ?? job.lane} label="run" /> },
  { id: 'accepted', header: 'Accepted', minWidth: 130, cell: (job: JobDocument) => momentText(job.accepted_at) },
  { id: 'why', header: 'Why it waits', minWidth: 260, cell: (job: JobDocument) => jobSentence(job) },
];
