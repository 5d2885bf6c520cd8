// SPDX-License-Identifier: Apache-2.0
// Keeps both lists of the page to one run.
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useNavigate } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';

export function RunFilter({ run }: { run: string | null }) {
  const navigate = useNavigate();
  const [typed, setTyped] = useState(run ?? '');
  const show = (next: string) => void navigate({ to: '/jobs', search: next ? { run: next } : {} });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    show(typed.trim());
  };
  return (
    <form onSubmit={submit}>
      <FormField
        label="Only of the run"
        description="The run's id. Empty: all runs."
        secondaryControl={
          <span className="form-buttons">
            <Button formAction="submit">Show</Button>
            {run && (
              <Button variant="link" formAction="none" onClick={() => show('')}>
                Clear
              </Button>
            )}
          </span>
        }
      >
        <Input value={typed} onChange={({ detail }) => setTyped(detail.value)} />
      </FormField>
    </form>
  );
}
