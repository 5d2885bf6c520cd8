// SPDX-License-Identifier: Apache-2.0
// The API reference, made from `/openapi.json`.
import Box from '@cloudscape-design/components/box';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TextFilter from '@cloudscape-design/components/text-filter';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { QueryView } from '../feedback/QueryView';
import { usePageTitle } from '../shell/usePageTitle';
import { CallSection } from './CallSection';
import { callsOf, matchingCalls, type OpenApiDocument, openApiQuery } from './openapi';
import './reference.css';

export default function ReferencePage() {
  usePageTitle('API reference');
  const query = useQuery(openApiQuery);
  return (
    <QueryView query={query} label="the description of the API">
      {(document) => <Reference document={document} />}
    </QueryView>
  );
}

function Reference({ document }: { document: OpenApiDocument }) {
  const [filter, setFilter] = useState('');
  const calls = callsOf(document);
  const matches = matchingCalls(calls, filter);
  const groups = [...new Set(matches.map(({ group }) => group))];
  return (
    <SpaceBetween size="l">
      <div>
        <Box variant="h1">API reference</Box>
        <Box color="text-body-secondary">
          {document.info.summary ?? document.info.title}. The machine-readable description is{' '}
          <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).
        </Box>
      </div>
      <Authentication document={document} />
      <TextFilter
        filteringText={filter}
        filteringAriaLabel="Find an operation"
        filteringPlaceholder="Find an operation: a path, a method, a word"
        countText={`${matches.length} of ${calls.length} operations`}
        onChange={({ detail }) => setFilter(detail.filteringText)}
      />
      {groups.map((group) => (
        <section key={group} aria-label={group}>
          <Box variant="h2" padding={{ bottom: 'xs' }}>
            {group}
          </Box>
          {matches
            .filter((call) => call.group === group)
            .map((call) => (
              <CallSection key={call.id} call={call} document={document} />
            ))}
        </section>
      ))}
      {matches.length === 0 && <p>No operation holds these words. Clear the filter to see all.</p>}
    </SpaceBetween>
  );
}

function Authentication({ document }: { document: OpenApiDocument }) {
  const schemes = Object.entries(document.components?.securitySchemes ?? {});
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
