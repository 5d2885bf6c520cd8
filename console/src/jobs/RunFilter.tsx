// SPDX-License-Identifier: Apache-2.0
// Limits both lists of the page to one run.
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useNavigate } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';

export function RunFilter({ run }: { run: string | null }) {
  const navigate = useNavigate();
  const [typed, setTyped] = useState(run ?? '');
  const showRun = (runId: string) => void navigate({ to: '/jobs', search: runId ? { run: runId } : {} });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    showRun(typed.trim());
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
              <Button variant="link" formAction="none" onClick={() => showRun('')}>
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
