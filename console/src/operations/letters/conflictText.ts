// SPDX-License-Identifier: Apache-2.0
// What a replay would overwrite, in words.
import type { Conflicts } from './letters';

/** Returns one overwritten value: `tag “team”: “b” in MLflow becomes “a” again`. */
export function overwrittenText({ kind, key, stored, letter }: Conflicts['overwrites'][number]): string {
  const what = key ? `${kind} “${key}”` : kind;
  if (letter === null) return `${what}: “${stored ?? ''}” in MLflow is deleted`;
  if (stored === null) return `${what}: it is set again to “${letter}”`;
  return `${what}: “${stored}” in MLflow becomes “${letter}” again`;
}

/** Returns how many writes came after a letter's, and what a replay overwrites. */
export function conflictSentence({ later_writes: later, overwrites }: Conflicts): string {
  const writes =
    later === 0
      ? 'No later writes to this run.'
      : `${later.toLocaleString('en')} later ${later === 1 ? 'write' : 'writes'} to this run.`;
  if (overwrites.length === 0) return `${writes} A replay overwrites nothing newer.`;
  const names = overwrites.map(({ kind, key }) => (key ? `${kind} “${key}”` : kind));
  return `${writes} A replay overwrites ${names.join(', ')}.`;
}
