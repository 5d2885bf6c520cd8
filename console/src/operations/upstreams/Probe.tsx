// SPDX-License-Identifier: Apache-2.0
// Asks upstream once, as `mlflow-bridge doctor` does, and shows each check.
import Alert from '@cloudscape-design/components/alert';
import { useMutation, type UseMutationResult } from '@tanstack/react-query';

import { ErrorPanel } from '../../feedback/ErrorPanel';
import { ActionButton } from '../actions/ActionButton';
import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { type Mark, StatusMark } from '../states/StatusMark';
import { probe, type Probe, probePath } from './upstream';

/** What a check found; a skipped one needs a check that has failed. */
const MARKS: Record<string, Mark> = { ok: 'success', warn: 'warning', fail: 'error', skipped: 'stopped' };

type ProbeMutation = UseMutationResult<Probe, Error, void>;

export function useProbe(upstreamId: string): ProbeMutation {
  return useMutation({ mutationFn: () => probe(upstreamId) });
}

export function ProbeButton({ probeMutation }: { probeMutation: ProbeMutation }) {
  return (
    <ActionButton action="ManageUpstream" loading={probeMutation.isPending} onClick={() => probeMutation.mutate()}>
      Probe
    </ActionButton>
  );
}

interface ResultProps {
  probeMutation: ProbeMutation;
  upstreamId: string;
  isBreakerOpen: boolean;
}

export function ProbeResult({ probeMutation, upstreamId, isBreakerOpen }: ResultProps) {
  if (probeMutation.error) return <ErrorPanel error={probeMutation.error} onRetry={() => probeMutation.mutate()} />;
  if (!probeMutation.data) return null;
  const { reachable, checks } = probeMutation.data;
  return (
    <Alert
      type={reachable ? 'success' : 'error'}
      header={reachable ? 'Upstream answers' : 'Upstream does not answer as it should'}
      dismissible
      onDismiss={() => probeMutation.reset()}
    >
      <ul className="checks">
        {checks.map(({ name, ok, verdict = '', detail, advice }) => (
          <li key={name}>
            <StatusMark type={MARKS[verdict] ?? (ok ? 'success' : 'error')}>
              <strong>{name}</strong> {detail}
            </StatusMark>
            {advice && <div>Fix: {advice}</div>}
          </li>
        ))}
      </ul>
      {reachable && isBreakerOpen && (
        <p>A probe does not close the circuit breaker: deliveries go on once the next call of a worker succeeds.</p>
      )}
      <EquivalentCommands
        command={bridgeCommand('upstream', 'probe')}
        call={{ method: 'POST', path: probePath(upstreamId) }}
      />
    </Alert>
  );
}
