// SPDX-License-Identifier: Apache-2.0
import type { SignedIn } from '../session/session';

/**
 * Returns the command by which an operator allows a client an action.
 *
 * The command adds the action to the permissions that are stored. None may be stored for the client of a token
 * (`oidc:...`): the command would then store the default scopes. So it repeats the client's scopes where they differ.
 */
export function allowCommand({ client, scopes }: Pick<SignedIn, 'client' | 'scopes'>, action: string): string {
  const quotedClient = /^[\w.:@-]+$/.test(client) ? client : `'${client.replaceAll("'", "'\\''")}'`;
  const scope = client.includes(':') ? scopeOption(scopes) : '';
  return `mlflow-bridge keys update ${quotedClient}${scope} --allow ${action}`;
}

function scopeOption(scopes: string[]): string {
  if (scopes.includes('admin')) return ' --admin';
  if (!scopes.includes('write')) return ' --read-only';
  return scopes.includes('read') ? '' : ' --write-only';
}
