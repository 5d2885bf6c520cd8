// SPDX-License-Identifier: Apache-2.0
// The visitor's own keys, as `GET /v1/keys/mine` states them. A key's secret is in no answer.
import { queryOptions } from '@tanstack/react-query';

import { pollEvery } from '../api/polling';
import { requestJson } from '../api/request';

export interface Key {
  key_id: string;
  kind: 'bearer' | 'sigv4';
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

const POLL_MS = 15_000;

export const ownKeysQuery = queryOptions({
  queryKey: ['keys', 'mine'],
  queryFn: ({ signal }) => requestJson<{ keys: Key[] }>('/v1/keys/mine', { signal }),
  refetchInterval: pollEvery(POLL_MS),
});
