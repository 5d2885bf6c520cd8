// SPDX-License-Identifier: Apache-2.0
// Clients, what they may do, their limits and keys, as docs/reference/endpoints.md describes them.
import { requestJson } from '../../api/request';
import { callPath } from '../search';

export type Scope = 'write' | 'read' | 'admin';

/** Null: the default of the settings; 0: no limit. */
export type Quota = Partial<Record<QuotaName, number | null>>;

export const QUOTA_NAMES = ['requests', 'writes', 'bytes', 'pending', 'tokens_per_day'] as const;
export type QuotaName = (typeof QUOTA_NAMES)[number];

/** What a client may do, and its limits. */
export interface Permissions {
  scopes: Scope[];
  allow: string[];
  deny: string[];
  /** The ids of the experiments that it is limited to; null for all. */
  experiments: string[] | null;
  quota: Quota;
}

export interface ClientDocument extends Permissions {
  name: string;
  kind: string;
  /** How full the bucket of each limit is, from 0 to 1. */
  levels: Record<string, number> | null;
  pending_bytes: number;
  /** How many bytes of it may wait; null: no limit. */
  pending_limit: number | null;
  dead_letters: number;
  keys: number;
  last_seen_at: string | null;
  /** The version of what it may do, for `If-Match`. */
  etag: string;
}

export interface ClientPage {
  clients: ClientDocument[];
  next: string | null;
}

export interface ActionDocument {
  action: string;
  /** The scope that includes it; null where it has to be allowed by name. */
  scope: 'write' | 'read' | null;
  of: 'mlflow' | 'bridge';
}

export interface Permission {
  allowed: boolean;
  because: string;
}

const PATH = '/v1/clients';
export const LIST_LIMIT = 1000;

export const clientsPath = callPath(PATH, { limit: LIST_LIMIT });

export const clientPath = (name: string): string => `${PATH}/${encodeURIComponent(name)}`;

export const permissionPath = (name: string, action: string, experiment: string): string =>
  callPath(`${clientPath(name)}/permission`, { action, experiment_id: experiment });

/** Stores a client if it is still the version `etag`; a null one creates it. */
export const putClient = (name: string, permissions: Permissions, etag: string | null): Promise<ClientDocument> =>
  requestJson(clientPath(name), {
    method: 'PUT',
    body: permissions,
    headers: etag === null ? { 'If-None-Match': '*' } : { 'If-Match': etag },
  });

export const deleteClient = (name: string, etag: string): Promise<undefined> =>
  requestJson(clientPath(name), { method: 'DELETE', headers: { 'If-Match': etag } });
