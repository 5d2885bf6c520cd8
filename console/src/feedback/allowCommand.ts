// SPDX-License-Identifier: Apache-2.0
import type { SignedIn } from '../session/session';

/**
 * Returns the command by which an operator allows a client an action.
 *
 * `keys update` replaces the scopes together with the allowed actions, so the command repeats the scope that is not the default.
 */
export function allowCommand({ client, scopes }: Pick<SignedIn, 'client' | 'scopes'>, action: string): string {
  const name = /^[\w.:@-]+$/.test(client) ? client : `'${client.replaceAll("'", "'\\''")}'`;
  return `mlflow-bridge keys update ${name}${scopeOption(scopes)} --allow ${action}`;
}

function scopeOption(scopes: string[]): string {
  if (scopes.includes('admin')) return ' --admin';
  if (!scopes.includes('write')) return ' --read-only';
  return scopes.includes('read') ? '' : ' --write-only';
}
