// SPDX-License-Identifier: Apache-2.0
// Asks upstream once, as `mlflow-bridge doctor` does, and shows each check.
import Alert from '@cloudscape-design/components/alert';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useMutation, type UseMutationResult } from '@tanstack/react-query';

import { ErrorPanel } from '../../feedback/ErrorPanel';
import { ActionButton } from '../actions/ActionButton';
import { bridgeCommand } from '../commands/curl';
import { SameCall } from '../commands/SameCall';
import { probe, type Probe, probePath } from './upstream';

type Probed = UseMutationResult<Probe, Error, void>;

export function useProbe(upstreamId: string): Probed {
  return useMutation({ mutationFn: () => probe(upstreamId) });
}

export function ProbeButton({ probed }: { probed: Probed }) {
  return (
    <ActionButton action="ManageUpstream" loading={probed.isPending} onClick={() => probed.mutate()}>
      Probe
    </ActionButton>
  );
}

export function ProbeResult({ probed, upstreamId }: { probed: Probed; upstreamId: string }) {
  if (probed.error) return <ErrorPanel error={probed.error} onRetry={() => probed.mutate()} />;
  if (!probed.data) return null;
  const { reachable, checks } = probed.data;
  return (
    <Alert
      type={reachable ? 'success' : 'error'}
      header={reachable ? 'Upstream answers' : 'Upstream does not answer as it should'}
      dismissible
      onDismiss={() => probed.reset()}
    >
      <ul className="checks" role="status">
        {checks.map(({ name, ok, detail, advice }) => (
          <li key={name}>
            <StatusIndicator type={ok ? 'success' : 'error'}>{name}</StatusIndicator> {detail}
            {advice && <div>Fix: {advice}</div>}
          </li>
        ))}
      </ul>
      <SameCall command={bridgeCommand('upstream', 'probe')} call={{ method: 'POST', path: probePath(upstreamId) }} />
    </Alert>
  );
}
