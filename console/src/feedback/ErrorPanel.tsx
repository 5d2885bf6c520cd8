// SPDX-License-Identifier: Apache-2.0
// Shows why something could not be loaded or done: title, detail, type and the request id.
import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';

import { type Problem, ProblemError } from '../api/problem';
import { CopyButton } from './CopyButton';

interface Props {
  error: Error;
  /** Repeats the request; absent where a repeat is not safe. */
  onRetry?: () => void;
  /** Whether the panel is all that the page has. */
  page?: boolean;
}

export function ErrorPanel({ error, onRetry, page = false }: Props) {
  const problem = error instanceof ProblemError ? error.problem : null;
  const alert = (
    <Alert
      type="error"
      header={problem?.title ?? 'The page failed'}
      action={onRetry && <Button onClick={onRetry}>Try again</Button>}
    >
      {problem ? <Explanation problem={problem} /> : error.message}
    </Alert>
  );
  return page ? <main className="page">{alert}</main> : alert;
}

function Explanation({ problem: { detail, status, type, requestId } }: { problem: Problem }) {
  return (
    <>
      <div>{detail ?? `The bridge answered with status ${status}.`}</div>
      {type && (
        <div>
          Type <code>{type}</code>
        </div>
      )}
      {requestId && (
        <div>
          Request <code>{requestId}</code> <CopyButton text={requestId} label="the request id" />
        </div>
      )}
    </>
  );
}
