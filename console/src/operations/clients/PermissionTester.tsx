// SPDX-License-Identifier: Apache-2.0
// Tests whether a client may do an action, and says why.
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { requestJson } from '../../api/request';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { type Permission, permissionPath } from './clients';
import { actionOptions, useActions } from './PermissionFields';

export function PermissionTester({ client }: { client: string }) {
  const [action, setAction] = useState<string | null>(null);
  const [experiment, setExperiment] = useState('');
  const inExperiment = experiment.trim() ? ['--experiment', experiment.trim()] : [];
  const options = actionOptions(useActions());
  const path = permissionPath(client, action ?? '', experiment.trim());
  const query = useQuery({
    queryKey: ['ops', path],
    queryFn: ({ signal }) => requestJson<Permission>(path, { signal }),
    enabled: action !== null,
    retry: false,
  });
  return (
    <Container header={<Header variant="h2">May {client} …?</Header>}>
      <SpaceBetween size="m">
        <div className="tester">
          <FormField label="Action">
            <Select
              filteringType="auto"
              filteringAriaLabel="Search the actions"
              placeholder="Choose an action"
              options={options}
              selectedOption={action === null ? null : { value: action, label: action }}
              onChange={({ detail }) => setAction(detail.selectedOption.value ?? null)}
            />
          </FormField>
          <FormField label="In the experiment">
            <Input placeholder="any" value={experiment} onChange={({ detail }) => setExperiment(detail.value)} />
          </FormField>
        </div>
        <div role="status">
          {query.data && (
            <StatusIndicator type={query.data.allowed ? 'success' : 'error'}>
              {query.data.allowed ? 'Yes' : 'No'}: {query.data.because}
            </StatusIndicator>
          )}
          {query.error && `Not known: ${query.error.message}`}
        </div>
        {action !== null && (
          <EquivalentCommands
            command={bridgeCommand('clients', 'permission', client, action, ...inExperiment)}
            call={{ method: 'GET', path }}
          />
        )}
      </SpaceBetween>
    </Container>
  );
}
