// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

import { expect, it } from 'vitest';

import { anchorOf, blocksOf, spansOf } from './blocks';

const RUNBOOK = readFileSync('../docs/how-to/runbook.md', 'utf8');

it('makes the anchors of GitHub', () => {
  expect(anchorOf('Upstream is down, stopped or in maintenance')).toBe('upstream-is-down-stopped-or-in-maintenance');
  expect(anchorOf('Clients receive 429: too much is pending')).toBe('clients-receive-429-too-much-is-pending');
});

it('reads headings, paragraphs, code, lists and tables', () => {
  expect(
    blocksOf('# A\n\none\ntwo\n\n```sh\nls | wc\n```\n\n* x\n  y\n* z\n\n| a | b |\n|---|---|\n| 1 | `c` |'),
  ).toEqual([
    { kind: 'heading', level: 1, text: 'A', anchor: 'a' },
    { kind: 'paragraph', text: 'one two' },
    { kind: 'code', code: 'ls | wc' },
    { kind: 'list', items: ['x y', 'z'] },
    { kind: 'table', head: ['a', 'b'], rows: [['1', '`c`']] },
  ]);
});

it('reads code, emphasis and links', () => {
  expect(spansOf('*Action*: run `a * b`, see [above](#x).')).toEqual([
    { kind: 'emphasis', text: 'Action' },
    { kind: 'text', text: ': run ' },
    { kind: 'code', text: 'a * b' },
    { kind: 'text', text: ', see ' },
    { kind: 'link', text: 'above', to: '#x' },
    { kind: 'text', text: '.' },
  ]);
});

it('reads the runbook, in which each section has an anchor of its own', () => {
  const headings = blocksOf(RUNBOOK).filter((block) => block.kind === 'heading');
  const anchors = headings.map(({ anchor }) => anchor);
  expect(anchors).toContain('no-worker-delivers');
  expect(new Set(anchors).size).toBe(anchors.length);
});

it('leads only to sections that the runbook has', () => {
  const anchors = new Set(blocksOf(RUNBOOK).map((block) => (block.kind === 'heading' ? `#${block.anchor}` : '')));
  for (const [, anchor] of RUNBOOK.matchAll(/\]\((#[^)]+)\)/g)) expect(anchors).toContain(anchor);
});
