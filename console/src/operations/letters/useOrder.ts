// SPDX-License-Identifier: Apache-2.0
// The state of an order from the dry run to the drain: count, confirm, send; confirm again where the count has changed.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { beginDrain } from '../drains/drains';
import { parseRate } from './estimate';
import type { LetterFilter } from './letterFilter';
import { dryRun } from './letters';
import {
  changedCount,
  type Confirmation,
  type DrainAction,
  NOT_COUNTED,
  type Order,
  orderDisabledReason,
  unconfirmed,
  withChangedCount,
} from './order';

const DEFAULT_RATE = '20';

export function useOrder(action: DrainAction, filter: LetterFilter) {
  const client = useQueryClient();
  const [confirmation, setConfirmation] = useState<Confirmation>(NOT_COUNTED);
  const [typedRate, setTypedRate] = useState(DEFAULT_RATE);
  const dryRunQuery = useQuery({
    queryKey: ['dry-run', action, filter],
    queryFn: () => dryRun(action, filter),
    // What the visitor confirms does not change while the dialog is open.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
    retry: false,
  });
  if (dryRunQuery.data && confirmation.count === null) setConfirmation(unconfirmed(dryRunQuery.data.count));
  const drainMutation = useMutation({
    mutationFn: beginDrain,
    onError: (error) => {
      const now = changedCount(error);
      if (now !== null) setConfirmation((before) => withChangedCount(before, now));
    },
    onSettled: () => void client.invalidateQueries({ queryKey: ['ops'] }),
  });
  const rate = action === 'replay' ? parseRate(typedRate) : null;
  const { count } = confirmation;
  const order: Order | null = count !== null && rate !== undefined ? { action, filter, count, rate } : null;
  return {
    dryRunQuery,
    drainMutation,
    confirmation,
    setTypedCount: (typed: string) => setConfirmation((before) => ({ ...before, typed })),
    typedRate,
    setTypedRate,
    order,
    disabledReason: orderDisabledReason(action, confirmation, order),
  };
}

export type OrderState = ReturnType<typeof useOrder>;
