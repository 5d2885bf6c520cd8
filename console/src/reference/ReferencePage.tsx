// SPDX-License-Identifier: Apache-2.0
// The API reference, made of `/openapi.json`.
import Box from '@cloudscape-design/components/box';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TextFilter from '@cloudscape-design/components/text-filter';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { Fetched } from '../feedback/Fetched';
import { usePageTitle } from '../shell/usePageTitle';
import { CallSection } from './CallSection';
import { callsOf, type Description, descriptionQuery, matchingCalls } from './openapi';
import './reference.css';

export default function ReferencePage() {
  usePageTitle('API reference');
  const query = useQuery(descriptionQuery);
  return (
    <Fetched query={query} what="the description of the API">
      {(description) => <Reference description={description} />}
    </Fetched>
  );
}

function Reference({ description }: { description: Description }) {
  const [filter, setFilter] = useState('');
  const calls = callsOf(description);
  const found = matchingCalls(calls, filter);
  const groups = [...new Set(found.map(({ group }) => group))];
  return (
    <SpaceBetween size="l">
      <div>
        <Box variant="h1">API reference</Box>
        <Box color="text-body-secondary">
          {description.info.summary ?? description.info.title}. The machine-readable description is{' '}
          <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).
        </Box>
      </div>
      <Authentication description={description} />
      <TextFilter
        filteringText={filter}
        filteringAriaLabel="Find an operation"
        filteringPlaceholder="Find an operation: a path, a method, a word"
        countText={`${found.length} of ${calls.length} operations`}
        onChange={({ detail }) => setFilter(detail.filteringText)}
      />
      {groups.map((group) => (
        <section key={group} aria-label={group}>
          <Box variant="h2" padding={{ bottom: 'xs' }}>
            {group}
          </Box>
          {found
            .filter((call) => call.group === group)
            .map((call) => (
              <CallSection key={call.id} call={call} description={description} />
            ))}
        </section>
      ))}
      {found.length === 0 && <p>No operation holds these words. Clear the filter to see all.</p>}
    </SpaceBetween>
  );
}

function Authentication({ description }: { description: Description }) {
  const schemes = Object.entries(description.components?.securitySchemes ?? {});
  return (
    <ExpandableSection headerText="How a program identifies itself">
      <ul>
        {schemes.map(([name, scheme]) => (
          <li key={name}>
            <code>{name}</code> ({scheme.type}){scheme.description && `: ${scheme.description}`}
          </li>
        ))}
      </ul>
      <p>&quot;Try it&quot; uses the session that you are signed in with.</p>
    </ExpandableSection>
  );
}
