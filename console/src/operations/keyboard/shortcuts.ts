// SPDX-License-Identifier: Apache-2.0
// What keys do in operations.

export type Command =
  | { name: 'open'; path: string }
  | { name: 'nextRow' | 'previousRow' | 'selectRow' | 'close' | 'pause' | 'theme' | 'zone' | 'list' | 'search' };

export interface KeyStroke {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  /** Whether the focus is in a field, where keys are text. */
  inField: boolean;
  /** Whether a dialog is open over the page, which has keys of its own. */
  inDialog: boolean;
}

export interface Shortcut {
  keys: string;
  effect: string;
}

const PAGES_AFTER_G: Record<string, { path: string; name: string }> = {
  o: { path: '/ops', name: 'Overview' },
  r: { path: '/ops/runs', name: 'Runs' },
  j: { path: '/ops/jobs', name: 'Jobs' },
  d: { path: '/ops/dead-letters', name: 'Dead letters' },
  c: { path: '/ops/clients', name: 'Clients' },
  u: { path: '/ops/upstreams', name: 'Upstreams' },
  w: { path: '/ops/workers', name: 'Workers' },
  a: { path: '/ops/audit', name: 'Audit' },
};

const SINGLE_KEY_COMMANDS: Record<string, Command> = {
  j: { name: 'nextRow' },
  k: { name: 'previousRow' },
  x: { name: 'selectRow' },
  p: { name: 'pause' },
  t: { name: 'theme' },
  z: { name: 'zone' },
  '/': { name: 'search' },
  '?': { name: 'list' },
};

export const SHORTCUTS: readonly Shortcut[] = [
  ...Object.entries(PAGES_AFTER_G).map(([key, { name }]) => ({ keys: `g ${key}`, effect: `Open ${name}` })),
  { keys: 'j', effect: 'Go to the next row' },
  { keys: 'k', effect: 'Go to the previous row' },
  { keys: 'Enter', effect: 'Open the row' },
  { keys: 'x', effect: 'Select the row' },
  { keys: 'Esc', effect: 'Close what is open' },
  { keys: '/', effect: 'Go to the search field' },
  { keys: 'p', effect: 'Pause or resume updates' },
  { keys: 't', effect: 'Switch between light and dark' },
  { keys: 'z', effect: 'Switch between local time and UTC' },
  { keys: '?', effect: 'Show this list' },
];

/** The command of a stroke, and whether the stroke was a `g` that a second key follows. */
export interface Reaction {
  command: Command | null;
  afterG: boolean;
}

/**
 * Returns what a stroke does.
 *
 * Keys are text in fields, belong to the browser with Ctrl, Alt or Meta, and do nothing behind a dialog. With single
 * keys switched off, only Esc does something.
 */
export function reactionTo(stroke: KeyStroke, afterG: boolean, singleKeysOn: boolean): Reaction {
  const nothing = { command: null, afterG: false };
  if (stroke.ctrlKey || stroke.metaKey || stroke.altKey || stroke.inField || stroke.inDialog) return nothing;
  if (stroke.key === 'Escape') return { command: { name: 'close' }, afterG: false };
  if (!singleKeysOn) return nothing;
  if (afterG) {
    const page = PAGES_AFTER_G[stroke.key];
    return { command: page ? { name: 'open', path: page.path } : null, afterG: false };
  }
  if (stroke.key === 'g') return { command: null, afterG: true };
  return { command: SINGLE_KEY_COMMANDS[stroke.key] ?? null, afterG: false };
}
