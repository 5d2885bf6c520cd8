// SPDX-License-Identifier: Apache-2.0
// The audit trail, as `GET /v1/audit` states it: changes, sign-ins, and denied requests.
import { callPath } from '../search';

export const DECISIONS = ['allowed', 'denied', 'unauthenticated', 'rate_limited'] as const;

export type Decision = (typeof DECISIONS)[number];

export interface AuditEntry {
  id: string;
  at: string;
  client: string;
  address: string;
  action: string | null;
  method: string;
  path: string;
  /** The object of the action, such as a client's name; null where the path names none. */
  on: string | null;
  decision: Decision;
  status: number;
  request_id: string | null;
  /** How many requests the entry stands for. */
  count?: number;
}

export interface AuditPage {
  entries: AuditEntry[];
  next: string | null;
}

/** The filter as it stands in the address; `since` may also be a span, such as `24h`. */
export type AuditFilter = Partial<Record<AuditField, string>>;

export const AUDIT_FIELDS = ['client', 'action', 'decision', 'request_id', 'since', 'until'] as const;
export type AuditField = (typeof AUDIT_FIELDS)[number];

const PAGE_LIMIT = 100;

export function auditPath(filter: AuditFilter, cursor: string | undefined): string {
  return callPath('/v1/audit', { ...filter, cursor, limit: PAGE_LIMIT });
}

export const auditCsvPath = (filter: AuditFilter): string => callPath('/v1/audit', { ...filter });

/** Returns the object of an entry's action, else its method and path. */
export function subjectOf({ on, method, path }: Pick<AuditEntry, 'on' | 'method' | 'path'>): string {
  return on ?? `${method} ${path}`;
}
