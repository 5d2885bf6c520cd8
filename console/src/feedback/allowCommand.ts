// SPDX-License-Identifier: Apache-2.0
import type { SignedIn } from '../session/session';

/**
 * Returns the command by which an operator allows a client an action.
 *
 * The action is added to the permissions of a known client. The bridge may not know the client of a token (`oidc:...`),
 * and gives it the default scopes then: the command repeats its scope where that is another one.
 */
export function allowCommand({ client, scopes }: Pick<SignedIn, 'client' | 'scopes'>, action: string): string {
  const name = /^[\w.:@-]+$/.test(client) ? client : `'${client.replaceAll("'", "'\\''")}'`;
  const scope = client.includes(':') ? scopeOption(scopes) : '';
  return `mlflow-bridge keys update ${name}${scope} --allow ${action}`;
}

function scopeOption(scopes: string[]): string {
  if (scopes.includes('admin')) return ' --admin';
  if (!scopes.includes('write')) return ' --read-only';
  return scopes.includes('read') ? '' : ' --write-only';
}
