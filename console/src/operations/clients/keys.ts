// SPDX-License-Identifier: Apache-2.0
// The keys of clients. The secret of a key is in the answer to its creation alone.
import { requestJson } from '../../api/request';
import type { Key } from '../../keys/keys';
import { bearerUses, type KeyUse, signatureUses } from '../../keys/keyUse';
import { callPath } from '../search';
import { clientPath } from './clients';

export type KeyKind = Key['kind'];

export interface NewKey {
  key_id: string;
  client: string;
  kind?: KeyKind;
  secret: string;
  expires_at: string | null;
}

export const keysPath = (client: string): string => callPath('/v1/keys', { client });

export const keyPath = (keyId: string): string => `/v1/keys/${encodeURIComponent(keyId)}`;

/** The request for a new key. */
export interface KeyOrder {
  kind: KeyKind;
  expires_at: string | null;
}

export const createKey = (client: string, order: KeyOrder): Promise<NewKey> =>
  requestJson(`${clientPath(client)}/keys`, { method: 'POST', body: order });

export interface Rotation {
  keyId: string;
  /** For how many seconds the old key still works. */
  overlapSeconds: number;
}

export const rotateKey = ({ keyId, overlapSeconds }: Rotation): Promise<NewKey> =>
  requestJson(`${keyPath(keyId)}/rotate`, { method: 'POST', body: { overlap: overlapSeconds } });

export const revokeKey = (keyId: string): Promise<undefined> => requestJson(keyPath(keyId), { method: 'DELETE' });

/** Returns how a new key is used, with the key itself in the lines. */
export function usesOf({ key_id: id, secret, kind }: NewKey, origin: string): KeyUse[] {
  // An answer without a kind shows it by the prefix of the secret.
  const isSigningKey = kind === 'sigv4' || (kind === undefined && !secret.startsWith('mbk_'));
  const uses = isSigningKey ? signatureUses(origin) : bearerUses(origin);
  return uses.map(({ title, description, code }) => ({
    title,
    description,
    code: code.replaceAll('YOUR-KEY-ID', id).replaceAll('YOUR-KEY', secret).replaceAll('YOUR-SECRET', secret),
  }));
}

/** Lifetimes of a new key, in days; null: it does not expire. */
export const LIFETIMES: readonly { days: number | null; text: string }[] = [
  { days: 30, text: '30 days' },
  { days: 90, text: '90 days' },
  { days: 365, text: '1 year' },
  { days: null, text: 'It does not expire' },
];

const DAY_MS = 86_400_000;

export function expiryOf(days: number | null, now: Date): string | null {
  return days === null ? null : new Date(now.getTime() + days * DAY_MS).toISOString();
}
