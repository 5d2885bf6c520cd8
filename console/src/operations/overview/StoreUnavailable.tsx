// SPDX-License-Identifier: Apache-2.0
// Stands in place of the overview while the store does not respond, because all other figures come from the store.
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { ProblemError } from '../../api/problem';
import { RunbookLink } from '../runbook/RunbookLink';
import { StatusMark } from '../states/StatusMark';

export function StoreUnavailable({ error }: { error: ProblemError }) {
  return (
    <section aria-labelledby="status" className="status status-error">
      <SpaceBetween size="s">
        <h1 id="status" className="status-sentence">
          <StatusMark type="error" size="medium">
            Unavailable: the store does not respond.
          </StatusMark>
        </h1>
        <div>{error.message}</div>
        <ul>
          <li>Clients receive 503 for writes, and try again. No accepted write is lost.</li>
          <li>Workers go on by themselves as soon as the store is back. This page asks again every 2 seconds.</li>
          <li>Start the store again with its data: an empty one has lost the backlog for good.</li>
        </ul>
        <div>
          <RunbookLink section="#the-store-does-not-respond">What to do</RunbookLink>
        </div>
      </SpaceBetween>
    </section>
  );
}
