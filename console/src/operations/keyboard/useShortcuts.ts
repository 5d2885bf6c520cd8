// SPDX-License-Identifier: Apache-2.0
// Listens for the keys of operations.
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';

import { switchTheme } from '../../shell/theme';
import { togglePaused } from '../live/live';
import { switchZone } from '../moments/zone';
import { moveRowFocus, selectRow } from './rowFocus';
import { type Command, type KeyStroke, reactionTo } from './shortcuts';
import { singleKeysAreOn } from './singleKeys';

/** How long after `g` a second key opens a page. */
const SEQUENCE_MS = 1500;

const closers: (() => void)[] = [];

/** Calls `close` for Esc while the component is mounted; the one that was mounted last comes first. */
export function useCloseOnEscape(close: () => void): void {
  const latest = useRef(close);
  useEffect(() => {
    latest.current = close;
  }, [close]);
  useEffect(() => {
    const closer = () => latest.current();
    closers.push(closer);
    return () => void closers.splice(closers.indexOf(closer), 1);
  }, []);
}

/** Acts on keys until the component is unmounted. `showList` shows what each key does. */
export function useShortcuts(showList: () => void): void {
  const navigate = useNavigate();
  useEffect(() => {
    let gPressedAt = Number.NEGATIVE_INFINITY;
    const act = (command: Command) => {
      if (command.name === 'open') void navigate({ to: command.path });
      else if (command.name === 'list') showList();
      else COMMAND_EFFECTS[command.name]();
    };
    const listener = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing) return;
      const reaction = reactionTo(keyStrokeOf(event), event.timeStamp - gPressedAt < SEQUENCE_MS, singleKeysAreOn());
      gPressedAt = reaction.afterG ? event.timeStamp : Number.NEGATIVE_INFINITY;
      if (!reaction.command) return;
      event.preventDefault();
      act(reaction.command);
    };
    document.addEventListener('keydown', listener);
    return () => document.removeEventListener('keydown', listener);
  }, [navigate, showList]);
}

const COMMAND_EFFECTS: Record<Exclude<Command['name'], 'open' | 'list'>, () => void> = {
  nextRow: () => moveRowFocus(1),
  previousRow: () => moveRowFocus(-1),
  selectRow,
  close: () => closers.at(-1)?.(),
  pause: togglePaused,
  theme: switchTheme,
  zone: switchZone,
  search: () => document.querySelector<HTMLElement>('[data-search] input, [data-search] textarea')?.focus(),
};

function keyStrokeOf(event: KeyboardEvent): KeyStroke {
  const { key, ctrlKey, metaKey, altKey } = event;
  return {
    key,
    ctrlKey,
    metaKey,
    altKey,
    inField: isField(event.target),
    inDialog: document.querySelector('[role="dialog"][aria-modal="true"]') !== null,
  };
}

/** Returns whether an element takes text, or keys of its own. */
export function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest('textarea, select, [role="listbox"], [role="menu"]')) return true;
  return target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'submit'].includes(target.type);
}
