// SPDX-License-Identifier: Apache-2.0
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';

const INDICATORS: Record<string, StatusIndicatorProps.Type> = {
  RUNNING: 'in-progress',
  SCHEDULED: 'pending',
  FINISHED: 'success',
  FAILED: 'error',
  KILLED: 'stopped',
};

export function RunStatus({ status }: { status: string }) {
  return <StatusIndicator type={INDICATORS[status] ?? 'info'}>{status.toLowerCase()}</StatusIndicator>;
}
