// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { type KeyStroke, reactionTo } from './shortcuts';

function stroke(key: string, changes: Partial<KeyStroke> = {}): KeyStroke {
  return { key, ctrlKey: false, metaKey: false, altKey: false, inField: false, inDialog: false, ...changes };
}

it('opens a page by two keys', () => {
  expect(reactionTo(stroke('g'), false, true)).toEqual({ command: null, afterG: true });
  expect(reactionTo(stroke('d'), true, true)).toEqual({
    command: { name: 'open', path: '/ops/dead-letters' },
    afterG: false,
  });
});

it('forgets g after a key that opens no page', () => {
  expect(reactionTo(stroke('q'), true, true)).toEqual({ command: null, afterG: false });
});

it('moves between rows by j and k', () => {
  expect(reactionTo(stroke('j'), false, true).command).toEqual({ name: 'nextRow' });
  expect(reactionTo(stroke('k'), false, true).command).toEqual({ name: 'previousRow' });
});

it.each([{ inField: true }, { inDialog: true }, { ctrlKey: true }, { metaKey: true }, { altKey: true }])(
  'does nothing with %j',
  (changes) => {
    for (const key of ['j', 'g', 'p', '/', '?', 'Escape']) {
      expect(reactionTo(stroke(key, changes), false, true)).toEqual({ command: null, afterG: false });
    }
  },
);

it('leaves Esc when single keys are off', () => {
  expect(reactionTo(stroke('p'), false, false).command).toBeNull();
  expect(reactionTo(stroke('g'), false, false)).toEqual({ command: null, afterG: false });
  expect(reactionTo(stroke('Escape'), false, false).command).toEqual({ name: 'close' });
});
