// SPDX-License-Identifier: Apache-2.0

/** Returns the command by which an operator allows a client an action. */
export function allowCommand(client: string, action: string): string {
  const name = /^[\w.:@-]+$/.test(client) ? client : `'${client.replaceAll("'", "'\\''")}'`;
  return `mlflow-bridge keys update ${name} --allow ${action}`;
}
