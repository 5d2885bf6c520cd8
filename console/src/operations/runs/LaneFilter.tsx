// SPDX-License-Identifier: Apache-2.0
// The form with the filter and the order of the list of runs.
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import { type FormEvent, useState } from 'react';

import { definedFields } from '../search';
import type { LaneChoice } from './lanes';
import { laneFilterWords } from './laneFilterWords';
import { LANE_STATES } from './search';

const ANY_STATE = { value: '', label: 'any state' };
const STATES = [ANY_STATE, ...LANE_STATES.map((value) => ({ value, label: value }))];
const OLDEST = { value: 'oldest', label: 'oldest first' };
const ORDERS = [OLDEST, { value: 'newest', label: 'newest first' }];

interface Props {
  choice: LaneChoice;
  onChoose: (choice: LaneChoice) => void;
}

export function LaneFilter({ choice, onChoose }: Props) {
  const [client, setClient] = useState(choice.client ?? '');
  const choose = (changes: { [Name in keyof LaneChoice]: LaneChoice[Name] | undefined }) =>
    onChoose(definedFields({ ...choice, ...changes }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    choose({ client: client.trim() || undefined });
  };
  return (
    <form className="filters" onSubmit={submit}>
      <FormField label="State">
        <Select
          selectedOption={STATES.find(({ value }) => value === choice.state) ?? ANY_STATE}
          options={STATES}
          onChange={({ detail }) => choose({ state: LANE_STATES.find((each) => each === detail.selectedOption.value) })}
        />
      </FormField>
      <FormField label="Client">
        <div data-search="">
          <Input value={client} placeholder="name" onChange={({ detail }) => setClient(detail.value)} />
        </div>
      </FormField>
      <FormField label="Order">
        <Select
          selectedOption={ORDERS.find(({ value }) => value === choice.order) ?? OLDEST}
          options={ORDERS}
          onChange={({ detail }) => choose({ order: detail.selectedOption.value === 'newest' ? 'newest' : undefined })}
        />
      </FormField>
      <span className="form-buttons">
        <Button formAction="submit">Show</Button>
        {laneFilterWords(choice) !== null && (
          <Button variant="link" formAction="none" onClick={() => onChoose(definedFields({ order: choice.order }))}>
            Clear
          </Button>
        )}
      </span>
    </form>
  );
}
