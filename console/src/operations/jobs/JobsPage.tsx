// SPDX-License-Identifier: Apache-2.0
// The page that finds jobs by ids that a client knows.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi } from '@tanstack/react-router';

import { definedFields } from '../search';
import { PageHead } from '../states/PageHead';
import { FoundJobs } from './FoundJobs';
import { LookUpForm } from './LookUpForm';
import { termsOf } from './lookUp';

const route = getRouteApi('/shell/ops/jobs');

export default function JobsPage() {
  const { find = '', client } = route.useSearch();
  const navigate = route.useNavigate();
  const terms = termsOf(find);
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Jobs"
        description="Each accepted write has a job. Find out what became of it by what its client knows."
      />
      {/* The key fills the form again when the address has other terms. */}
      <LookUpForm
        key={`${find} ${client}`}
        find={find}
        client={client}
        onLookUp={(next) => void navigate({ search: definedFields(next) })}
      />
      {terms.length > 0 && <FoundJobs key={find} terms={terms} client={client} />}
    </SpaceBetween>
  );
}
