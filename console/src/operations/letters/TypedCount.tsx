// SPDX-License-Identifier: Apache-2.0
// A field for the number of letters. Typing it confirms that the visitor has read how many are discarded.
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';

import type { Confirmation } from './order';

interface Props {
  confirmation: Confirmation;
  onChange: (typed: string) => void;
}

export function TypedCount({ confirmation: { count, typed }, onChange }: Props) {
  return (
    <FormField
      label={`Type ${(count ?? 0).toLocaleString('en')} to confirm`}
      description="Letters that arrive from now on are not part of it. The bridge refuses the order if one of these is gone by then."
    >
      <div className="rate-input">
        <Input inputMode="numeric" name="count" value={typed} onChange={({ detail }) => onChange(detail.value)} />
      </div>
    </FormField>
  );
}
