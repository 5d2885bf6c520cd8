// SPDX-License-Identifier: Apache-2.0
// A field for the rate of a replay, with an estimate of how long the replay takes.
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';

import { estimateText, parseRate, RATE_PROBLEM } from './estimate';

interface Props {
  letters: number;
  typed: string;
  onChange: (typed: string) => void;
}

export function RateField({ letters, typed, onChange }: Props) {
  const rate = parseRate(typed);
  return (
    <FormField
      label="Rate"
      description="Letters a second, so that what comes in meanwhile is not held up. Empty: as fast as the workers can."
      {...(rate === undefined
        ? { errorText: RATE_PROBLEM }
        : { constraintText: `Takes ${rate === null ? 'as long as the workers need' : estimateText(letters, rate)}.` })}
    >
      <div className="rate-input">
        <Input
          inputMode="decimal"
          name="rate"
          value={typed}
          invalid={rate === undefined}
          onChange={({ detail }) => onChange(detail.value)}
        />
      </div>
    </FormField>
  );
}
