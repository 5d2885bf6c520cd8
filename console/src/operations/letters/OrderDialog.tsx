// SPDX-License-Identifier: Apache-2.0
// Replays or discards all letters of a filter: what that is, how many, then the order and its progress.
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
import { filterWords, type LetterFilter } from './letterFilter';
import { lettersText } from './letterText';
import { changedCount, type DrainAction, orderCall, orderCommand } from './order';
import { Overwritten } from './Overwritten';
import { RateField } from './RateField';
import { TypedCount } from './TypedCount';
import { type UsedOrder, useOrder } from './useOrder';

interface Props {
  action: DrainAction;
  filter: LetterFilter;
  onClose: () => void;
}

export function OrderDialog({ action, filter, onClose }: Props) {
  const used = useOrder(action, filter);
  const { begin, order, disabledReason, confirmation } = used;
  if (begin.data) return <Ordered drain={begin.data} onClose={onClose} />;
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
              loading={begin.isPending}
              disabledReason={disabledReason}
              onClick={() => order && begin.mutate(order)}
            >
              {title}
            </ActionButton>
          </SpaceBetween>
        </Box>
      }
    >
      <OrderForm action={action} filter={filter} used={used} />
    </Modal>
  );
}

function OrderForm({ action, filter, used }: { action: DrainAction; filter: LetterFilter; used: UsedOrder }) {
  const { dry, begin, confirmation, order } = used;
  return (
    <SpaceBetween size="m">
      <div>
        <strong>{action === 'replay' ? 'These are replayed: ' : 'These are discarded: '}</strong>
        {filterWords(filter)}.
      </div>
      {dry.error && <ErrorPanel error={dry.error} onRetry={() => void dry.refetch()} />}
      {dry.isPending && <Loading label="the number of letters" />}
      {begin.error && changedCount(begin.error) === null && <ErrorPanel error={begin.error} />}
      {confirmation.count !== null && <Fields action={action} count={confirmation.count} used={used} />}
      {action === 'replay' && <Overwritten filter={filter} />}
      {order && <EquivalentCommands open command={orderCommand(order)} call={orderCall(order)} />}
    </SpaceBetween>
  );
}

/** The number of letters, and what has to be said about them. */
function Fields({ action, count, used }: { action: DrainAction; count: number; used: UsedOrder }) {
  const { confirmation, typeCount, typedRate, typeRate } = used;
  return (
    <SpaceBetween size="m">
      {confirmation.before !== null && <Changed before={confirmation.before} count={count} />}
      <Counted action={action} count={count} />
      {action === 'replay' ? (
        <RateField letters={count} typed={typedRate} onChange={typeRate} />
      ) : (
        <TypedCount confirmation={confirmation} onChange={typeCount} />
      )}
    </SpaceBetween>
  );
}

function Ordered({ drain, onClose }: { drain: Drain; onClose: () => void }) {
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
        </Box>
      </SpaceBetween>
    </Modal>
  );
}

function Counted({ action, count }: { action: DrainAction; count: number }) {
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

function Changed({ before, count }: { before: number; count: number }) {
  return (
    <Alert type="warning" header="The number has changed meanwhile">
      It was {before.toLocaleString('en')} when you were asked, and is {count.toLocaleString('en')} now. Nothing was
      done. Confirm the new number, or cancel and look at the list.
    </Alert>
  );
}
