// SPDX-License-Identifier: Apache-2.0
// An order from the dry run to the drain: count, confirm, send; ask again where the count has changed.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { beginDrain } from '../drains/drains';
import { rateOf } from './estimate';
import type { LetterFilter } from './letterFilter';
import { dryRun } from './letters';
import {
  changedCount,
  type Confirmation,
  counted,
  type DrainAction,
  type Order,
  reasonOff,
  refused,
  UNCONFIRMED,
} from './order';

const DEFAULT_RATE = '20';

export function useOrder(action: DrainAction, filter: LetterFilter) {
  const client = useQueryClient();
  const [confirmation, setConfirmation] = useState<Confirmation>(UNCONFIRMED);
  const [typedRate, setTypedRate] = useState(DEFAULT_RATE);
  const dry = useQuery({
    queryKey: ['dry-run', action, filter],
    queryFn: () => dryRun(action, filter),
    // What the visitor confirms does not change while the dialog is open.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
    retry: false,
  });
  if (dry.data && confirmation.count === null) setConfirmation(counted(dry.data.count));
  const begin = useMutation({
    mutationFn: beginDrain,
    onError: (error) => {
      const now = changedCount(error);
      if (now !== null) setConfirmation((before) => refused(before, now));
    },
    onSettled: () => void client.invalidateQueries({ queryKey: ['ops'] }),
  });
  const rate = action === 'replay' ? rateOf(typedRate) : null;
  const { count } = confirmation;
  const order: Order | null = count !== null && rate !== undefined ? { action, filter, count, rate } : null;
  return {
    dry,
    begin,
    confirmation,
    typeCount: (typed: string) => setConfirmation((before) => ({ ...before, typed })),
    typedRate,
    typeRate: setTypedRate,
    order,
    disabledReason: reasonOff(action, confirmation, order),
  };
}

export type UsedOrder = ReturnType<typeof useOrder>;
