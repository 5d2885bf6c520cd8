// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { conflictSentence, overwrittenText } from './conflictText';

const TEAM = { kind: 'tag', key: 'team', stored: 'b', letter: 'a' };

it('names what a replay overwrites', () => {
  expect(conflictSentence({ later_writes: 3, overwrites: [TEAM], checked: true, why: null })).toBe(
    '3 later writes to this run. A replay overwrites tag “team”.',
  );
  expect(conflictSentence({ later_writes: 1, overwrites: [], checked: true, why: null })).toBe(
    '1 later write to this run. A replay overwrites nothing newer.',
  );
});

it('says both values', () => {
  expect(overwrittenText(TEAM)).toBe('tag “team”: “b” in MLflow becomes “a” again');
  expect(overwrittenText({ ...TEAM, letter: null })).toBe('tag “team”: “b” in MLflow is deleted');
  expect(overwrittenText({ kind: 'status', key: '', stored: 'FINISHED', letter: 'RUNNING' })).toBe(
    'status: “FINISHED” in MLflow becomes “RUNNING” again',
  );
});

it('says that a param is never overwritten', () => {
  const lr = { kind: 'param', key: 'lr', stored: '0.1', letter: '0.01' };
  expect(overwrittenText(lr)).toBe('param “lr”: MLflow keeps “0.1” and refuses the replay');
  expect(conflictSentence({ later_writes: 0, overwrites: [lr], checked: true, why: null })).toBe(
    'No later writes to this run. MLflow refuses a replay: it never changes a param.',
  );
});
