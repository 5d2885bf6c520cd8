// SPDX-License-Identifier: Apache-2.0
// The form with the search terms of jobs.
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Textarea from '@cloudscape-design/components/textarea';
import { type FormEvent, useState } from 'react';

interface Lookup {
  find: string | undefined;
  client: string | undefined;
}

interface Props extends Lookup {
  onLookUp: (choice: Lookup) => void;
}

const MAX_ROWS = 8;

export function LookUpForm({ find = '', client = '', onLookUp }: Props) {
  const [text, setText] = useState(find);
  const [clientName, setClientName] = useState(client);
  const lookUp = () => onLookUp({ find: text.trim() || undefined, client: clientName.trim() || undefined });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    lookUp();
  };
  return (
    <form onSubmit={submit} className="look-up">
      <FormField
        label="Job id, run, run's name, request id or idempotency key"
        description="Several job ids: one a line. Enter looks them up, Shift+Enter begins a line."
        stretch
      >
        <div data-search="">
          <Textarea
            value={text}
            rows={Math.min(MAX_ROWS, text.split('\n').length)}
            spellcheck={false}
            onChange={({ detail }) => setText(detail.value)}
            onKeyDown={(event) => {
              if (event.detail.key !== 'Enter' || event.detail.shiftKey || event.detail.isComposing) return;
              event.preventDefault();
              lookUp();
            }}
          />
        </div>
      </FormField>
      <FormField label="Client" description="The client of an idempotency key. Empty: you.">
        <Input value={clientName} onChange={({ detail }) => setClientName(detail.value)} />
      </FormField>
      <Button formAction="submit">Look up</Button>
    </form>
  );
}
