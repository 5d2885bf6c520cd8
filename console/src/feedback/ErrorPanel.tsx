// SPDX-License-Identifier: Apache-2.0
// Shows why something could not be loaded or done: title, detail, type and the request id.
import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';

import { ProblemError } from '../api/problem';
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
      <div>{problem?.detail ?? (problem ? `The bridge answered with status ${problem.status}.` : error.message)}</div>
      {problem?.type && (
        <Box variant="small">
          Type <code>{problem.type}</code>
        </Box>
      )}
      {problem?.requestId && (
        <Box variant="small">
          {' '}
          Request <code>{problem.requestId}</code> <CopyButton text={problem.requestId} what="the request id" />
        </Box>
      )}
    </Alert>
  );
  return page ? <main className="page">{alert}</main> : alert;
}
