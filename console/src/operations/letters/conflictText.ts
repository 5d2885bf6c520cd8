// SPDX-License-Identifier: Apache-2.0
// What a replay would overwrite, in words.
import type { Conflicts } from './letters';

/** Returns one overwritten value: `tag “team”: “b” in MLflow becomes “a” again`. */
export function overwrittenText({ kind, key, stored, letter }: Conflicts['overwrites'][number]): string {
  const name = nameOf(kind, key);
  // MLflow never changes a param.
  if (kind === 'param') return `${name}: MLflow keeps “${stored ?? ''}” and refuses the replay`;
  if (letter === null) return `${name}: “${stored ?? ''}” in MLflow is deleted`;
  if (stored === null) return `${name}: it is set again to “${letter}”`;
  return `${name}: “${stored}” in MLflow becomes “${letter}” again`;
}

/** Returns how many writes came after a letter's, and what a replay overwrites. */
export function conflictSentence({ later_writes: later, overwrites }: Conflicts): string {
  const writesSentence =
    later === 0
      ? 'No later writes to this run.'
      : `${later.toLocaleString('en')} later ${later === 1 ? 'write' : 'writes'} to this run.`;
  if (overwrites.length === 0) return `${writesSentence} A replay overwrites nothing newer.`;
  const isRefused = overwrites.some(({ kind }) => kind === 'param');
  const names = overwrites.filter(({ kind }) => kind !== 'param').map(({ kind, key }) => nameOf(kind, key));
  const refusal = isRefused ? ' MLflow refuses a replay: it never changes a param.' : '';
  return names.length > 0
    ? `${writesSentence} A replay overwrites ${names.join(', ')}.${refusal}`
    : writesSentence + refusal;
}

/** Returns what a value is: `tag “team”`, `end time`. */
function nameOf(kind: string, key: string): string {
  const words = kind.replaceAll('_', ' ');
  return key && key !== kind ? `${words} “${key}”` : words;
}
