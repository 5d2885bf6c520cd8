// SPDX-License-Identifier: Apache-2.0
// My jobs: what waits, what was given up on, and one job by its id.
import Box from '@cloudscape-design/components/box';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi } from '@tanstack/react-router';

import { usePageTitle } from '../shell/usePageTitle';
import { DeadLetters } from './DeadLetters';
import { JobLookup } from './JobLookup';
import { PendingJobs } from './PendingJobs';
import { RunFilter } from './RunFilter';

const route = getRouteApi('/shell/jobs');

export default function JobsPage() {
  usePageTitle('My jobs');
  const { run = null } = route.useSearch();
  return (
    <SpaceBetween size="l">
      <div>
        <Box variant="h1">My jobs</Box>
        <Box color="text-body-secondary">
          Each write that the bridge accepts has a job: its promise to deliver the write to MLflow.
        </Box>
      </div>
      <JobLookup />
      {/* The key fills the form again when the address has another run. */}
      <RunFilter key={run} run={run} />
      <PendingJobs run={run} />
      <DeadLetters run={run} />
    </SpaceBetween>
  );
}
