// SPDX-License-Identifier: Apache-2.0
// The permissions and limits of a client: as the texts of a form, as the API accepts them, and as a command.
import { bridgeCommand } from '../commands/curl';
import { type Permissions, type Quota, QUOTA_NAMES, type QuotaName, type Scope } from './clients';

/** The values of the form's fields, limits as they are typed. */
export interface PermissionForm {
  scopes: Scope[];
  allow: string[];
  deny: string[];
  isLimited: boolean;
  /** The ids of experiments as they are typed. */
  experiments: string;
  quota: Record<QuotaName, string>;
}

export const QUOTA_LABELS: Record<QuotaName, string> = {
  requests: 'Requests a second',
  writes: 'Writes a second',
  bytes: 'Bytes a second',
  pending: 'Bytes of pending writes',
  tokens_per_day: 'AI Gateway tokens a day',
};

const SIZE_QUOTAS: ReadonlySet<QuotaName> = new Set(['bytes', 'pending'] as const);
const UNIT_BYTES: Record<string, number> = { '': 1, b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 };

export const NEW_CLIENT: Permissions = { scopes: ['write', 'read'], allow: [], deny: [], experiments: null, quota: {} };

/** Returns the form that shows permissions. */
export function formOf({ scopes, allow, deny, experiments, quota }: Permissions): PermissionForm {
  const quotaTexts = QUOTA_NAMES.map((name) => [name, quotaText(name, quota[name])]);
  return {
    scopes,
    allow,
    deny,
    isLimited: experiments !== null,
    experiments: (experiments ?? []).join(', '),
    quota: Object.fromEntries(quotaTexts) as Record<QuotaName, string>,
  };
}

/** Returns what is wrong with the form, by the name of a field. */
export function problemsOf(form: PermissionForm): Partial<Record<QuotaName | 'experiments', string>> {
  const problems: Partial<Record<QuotaName | 'experiments', string>> = {};
  for (const name of QUOTA_NAMES) {
    if (parseQuota(name, form.quota[name]) === undefined) problems[name] = quotaProblem(name);
  }
  const ids = parseIds(form.experiments);
  if (form.isLimited && form.scopes.includes('admin')) {
    problems.experiments = 'Operators are not limited to experiments.';
  } else if (form.isLimited && ids.some((id) => !/^\d+$/.test(id))) {
    problems.experiments = 'The id of an experiment is a number, such as 7.';
  } else if (form.isLimited && ids.length === 0) {
    problems.experiments = 'Type at least one id, or switch the limit off.';
  }
  return problems;
}

/** Returns the body of the request for a form without problems. */
export function permissionsOf(form: PermissionForm): Permissions {
  const quota: Quota = {};
  for (const name of QUOTA_NAMES) quota[name] = parseQuota(name, form.quota[name]) ?? null;
  return {
    scopes: form.scopes,
    allow: form.allow,
    deny: form.deny,
    experiments: form.isLimited ? parseIds(form.experiments) : null,
    quota,
  };
}

/**
 * Returns the command that sets the same permissions.
 *
 * The option of a scope empties the lists of allowed and denied actions. The options after it fill them again.
 */
export function permissionsCommand(name: string, { scopes, allow, deny, experiments, quota }: Permissions): string {
  const words = ['keys', 'update', name, scopeOption(scopes)];
  for (const action of allow) words.push('--allow', action);
  for (const action of deny) words.push('--deny', action);
  for (const id of experiments ?? ['any']) words.push('--experiment', id);
  for (const each of QUOTA_NAMES) {
    const value = quota[each];
    if (value !== null && value !== undefined) words.push(QUOTA_OPTIONS[each], quotaText(each, value));
  }
  return bridgeCommand(...words);
}

/** Returns what differs between two versions, in words. */
export function differences(before: Permissions, after: Permissions): string[] {
  const words: string[] = [];
  const compare = (label: string, earlier: string, later: string) => {
    if (earlier !== later) words.push(`${label}: ${earlier} became ${later}`);
  };
  compare('Scopes', joinNames(before.scopes), joinNames(after.scopes));
  compare('Allowed by name', joinNames(before.allow), joinNames(after.allow));
  compare('Denied by name', joinNames(before.deny), joinNames(after.deny));
  compare('Experiments', joinNames(before.experiments, 'all'), joinNames(after.experiments, 'all'));
  for (const name of QUOTA_NAMES) {
    compare(QUOTA_LABELS[name], quotaWords(name, before.quota[name]), quotaWords(name, after.quota[name]));
  }
  return words;
}

/** Returns a limit in words. */
export function quotaWords(name: QuotaName, value: number | null | undefined): string {
  if (value === null || value === undefined) return 'default';
  return value === 0 ? 'no limit' : quotaText(name, value, 'en');
}

const QUOTA_OPTIONS: Record<QuotaName, string> = {
  requests: '--requests-per-second',
  writes: '--writes-per-second',
  bytes: '--bytes-per-second',
  pending: '--pending',
  tokens_per_day: '--tokens-per-day',
};

function scopeOption(scopes: Scope[]): string {
  if (scopes.includes('admin')) return '--admin';
  if (scopes.includes('write')) return scopes.includes('read') ? '--read-write' : '--write-only';
  return '--read-only';
}

/** Returns a limit as it is typed: `100MiB`, `25`, nothing for the default. */
function quotaText(name: QuotaName, value: number | null | undefined, locale?: string): string {
  if (value === null || value === undefined) return '';
  if (SIZE_QUOTAS.has(name) && value > 0) {
    const [unit, size] = [['GiB', 2 ** 30] as const, ['MiB', 2 ** 20] as const, ['KiB', 2 ** 10] as const].find(
      ([, each]) => value % each === 0,
    ) ?? ['', 1];
    return `${value / size}${unit}`;
  }
  return locale === undefined ? String(value) : value.toLocaleString(locale);
}

/** Returns the limit that is typed: null for the default, undefined where it is not valid. */
function parseQuota(name: QuotaName, typed: string): number | null | undefined {
  const text = typed.trim();
  if (!text) return null;
  const match = /^(\d+(?:\.\d+)?) ?([kmg]ib|b)?$/i.exec(text);
  if (!match) return undefined;
  const unit = (match[2] ?? '').toLowerCase();
  if (unit && !SIZE_QUOTAS.has(name)) return undefined;
  const value = Number(match[1]) * (UNIT_BYTES[unit] ?? 1);
  const isWhole = Number.isSafeInteger(value);
  return name === 'requests' || name === 'writes' || isWhole ? value : undefined;
}

function quotaProblem(name: QuotaName): string {
  if (SIZE_QUOTAS.has(name)) return 'Type a size such as 100MiB, 0 for no limit, or nothing for the default.';
  return 'Type a number, 0 for no limit, or nothing for the default.';
}

const parseIds = (typed: string): string[] => [...new Set(typed.split(/[\s,]+/).filter(Boolean))];

const joinNames = (values: readonly string[] | null, all = 'none'): string =>
  values === null ? all : values.join(', ') || 'none';
