// SPDX-License-Identifier: Apache-2.0
// The dialog that replays or discards all letters of a filter: it counts them, sends the order, and shows its progress.
import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { ErrorPanel } from '../../feedback/ErrorPanel';
import { Loading } from '../../feedback/Loading';
import { ActionButton } from '../actions/ActionButton';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { DrainProgress } from '../drains/DrainProgress';
import type { Drain } from '../drains/drains';
import { type LetterFilter, letterFilterWords } from './letterFilter';
import { lettersText } from './letterText';
import { changedCount, type DrainAction, orderCall, orderCommand } from './order';
import { OverwritePreview } from './OverwritePreview';
import { RateField } from './RateField';
import { TypedCount } from './TypedCount';
import { type OrderState, useOrder } from './useOrder';

interface Props {
  action: DrainAction;
  filter: LetterFilter;
  onClose: () => void;
}

export function OrderDialog({ action, filter, onClose }: Props) {
  const orderState = useOrder(action, filter);
  const { drainMutation, order, disabledReason, confirmation } = orderState;
  if (drainMutation.data) return <OrderedDialog drain={drainMutation.data} onClose={onClose} />;
  const verb = action === 'replay' ? 'Replay' : 'Discard';
  const title = `${verb} ${confirmation.count === null ? 'dead letters' : lettersText(confirmation.count)}`;
  return (
    <Modal
      visible
      size="large"
      header={title}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button onClick={onClose}>Cancel</Button>
            <ActionButton
              action="DrainDeadLetters"
              variant="primary"
              loading={drainMutation.isPending}
              disabledReason={disabledReason}
              onClick={() => order && drainMutation.mutate(order)}
            >
              {title}
            </ActionButton>
          </SpaceBetween>
        </Box>
      }
    >
      <OrderForm action={action} filter={filter} orderState={orderState} />
    </Modal>
  );
}

function OrderForm({
  action,
  filter,
  orderState,
}: {
  action: DrainAction;
  filter: LetterFilter;
  orderState: OrderState;
}) {
  const { dryRunQuery, drainMutation, confirmation, order } = orderState;
  return (
    <SpaceBetween size="m">
      <div>
        <strong>{action === 'replay' ? 'These are replayed: ' : 'These are discarded: '}</strong>
        {letterFilterWords(filter)}.
      </div>
      {dryRunQuery.error && <ErrorPanel error={dryRunQuery.error} onRetry={() => void dryRunQuery.refetch()} />}
      {dryRunQuery.isPending && <Loading label="the number of letters" />}
      {drainMutation.error && changedCount(drainMutation.error) === null && <ErrorPanel error={drainMutation.error} />}
      {confirmation.count !== null && (
        <OrderFields action={action} count={confirmation.count} orderState={orderState} />
      )}
      {action === 'replay' && <OverwritePreview filter={filter} />}
      {order && <EquivalentCommands open command={orderCommand(order)} call={orderCall(order)} />}
    </SpaceBetween>
  );
}

/** The number of letters, and the field of the action: the rate of a replay, the typed number of a discard. */
function OrderFields({ action, count, orderState }: { action: DrainAction; count: number; orderState: OrderState }) {
  const { confirmation, setTypedCount, typedRate, setTypedRate } = orderState;
  return (
    <SpaceBetween size="m">
      {confirmation.before !== null && <CountChangedAlert before={confirmation.before} count={count} />}
      <CountSentence action={action} count={count} />
      {action === 'replay' ? (
        <RateField letters={count} typed={typedRate} onChange={setTypedRate} />
      ) : (
        <TypedCount confirmation={confirmation} onChange={setTypedCount} />
      )}
    </SpaceBetween>
  );
}

/** Shows the progress of a drain that was ordered. */
function OrderedDialog({ drain, onClose }: { drain: Drain; onClose: () => void }) {
  return (
    <Modal
      visible
      size="large"
      header={drain.action === 'replay' ? 'The replay is ordered' : 'The discard is ordered'}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <Button variant="primary" onClick={onClose}>
            Close
          </Button>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <DrainProgress drain={drain} />
        <Box color="text-body-secondary">
          The workers carry it out. It goes on when this dialog or the page is closed: see Drains.
          {drain.action === 'replay' &&
            ' It is finished once the letters are back in their lanes; Runs shows what then waits for delivery.'}
        </Box>
      </SpaceBetween>
    </Modal>
  );
}

function CountSentence({ action, count }: { action: DrainAction; count: number }) {
  const effect =
    action === 'replay'
      ? "Each becomes a new job at the end of its run's lane, in the original order."
      : 'The writes are deleted and never reach MLflow. This cannot be undone.';
  return (
    <div>
      <strong>{count.toLocaleString('en')}</strong> {count === 1 ? 'letter matches' : 'letters match'}, counted just
      now; nothing is changed yet. {effect}
    </div>
  );
}

function CountChangedAlert({ before, count }: { before: number; count: number }) {
  return (
    <Alert type="warning" header="The number has changed meanwhile">
      It was {before.toLocaleString('en')} when you were asked, and is {count.toLocaleString('en')} now. Nothing was
      done. Confirm the new number, or cancel and look at the list.
    </Alert>
  );
}
