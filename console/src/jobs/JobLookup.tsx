// SPDX-License-Identifier: Apache-2.0
// Finds one job by its id, and shows its state.
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';

import { ProblemError } from '../api/problem';
import { QueryView } from '../feedback/QueryView';
import { type JobDocument, jobQuery } from './jobs';
import { jobSentence, jobTimes } from './jobSentence';
import { JobStatus } from './JobStatus';

export function JobLookup() {
  const [typed, setTyped] = useState('');
  const [jobId, setJobId] = useState<string | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setJobId(typed.trim() || null);
  };
  return (
    <Container>
      <SpaceBetween size="m">
        <form onSubmit={submit}>
          <FormField
            label="What became of a job"
            description="The id stands in the header Job-Id of the answer to the write."
            secondaryControl={<Button formAction="submit">Look up</Button>}
          >
            <Input value={typed} onChange={({ detail }) => setTyped(detail.value)} />
          </FormField>
        </form>
        {jobId && <LookupResult key={jobId} jobId={jobId} />}
      </SpaceBetween>
    </Container>
  );
}

function LookupResult({ jobId }: { jobId: string }) {
  const query = useQuery(jobQuery(jobId));
  if (query.error instanceof ProblemError && query.error.status === 404) {
    return <p role="status">There is no such job of yours, or it was settled longer ago than the bridge remembers.</p>;
  }
  return (
    <QueryView query={query} label="the job" action="GetJob">
      {(job) => <JobDetails job={job} />}
    </QueryView>
  );
}

function JobDetails({ job }: { job: JobDocument }) {
  return (
    <div role="status">
      <KeyValuePairs
        columns={3}
        items={[
          { label: 'Status', value: <JobStatus status={job.status} /> },
          { label: 'What became of it', value: jobSentence(job) },
          { label: 'Write', value: `${job.op} · ${job.run_id ?? job.lane}` },
          { label: 'When', value: jobTimes(job) },
          { label: "MLflow's request", value: job.upstream?.request_id ?? '–' },
        ]}
      />
    </div>
  );
}
