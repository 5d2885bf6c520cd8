// SPDX-License-Identifier: Apache-2.0
import StatusIndicator from '@cloudscape-design/components/status-indicator';

import type { JobDocument } from './jobs';

const INDICATORS = { pending: 'pending', delivered: 'success', dead: 'error', discarded: 'stopped' } as const;

export function JobStatus({ status }: { status: JobDocument['status'] }) {
  return <StatusIndicator type={INDICATORS[status]}>{status}</StatusIndicator>;
}
