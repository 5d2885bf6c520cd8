// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

import { parseExactJson } from '../../api/exactJson';
import { letterCopies } from './letterCopies';
import type { Letter } from './letters';
import { bodyText } from './WriteView';

const BODY = `{"run_id":"a3f1","key":"it's $HOME","value":1.0,"step":9223372036854775807}`;

function letter(body: string, workspace: string | null = null): Letter {
  return {
    letter_id: '0000000000d1.1',
    write: {
      path: '/api/2.0/mlflow/runs/log-metric',
      body: parseExactJson(body),
      body_text: body,
      workspace,
      base64: null,
    },
  } as Letter;
}

const copied = (id: string, of: Letter): string =>
  letterCopies(of, 'https://bridge.example').find((each) => each.id === id)?.text ?? '';

/** Returns the words and the standard input that a shell gives to curl. */
function read(command: string): string[] {
  const script = `curl() { for word; do printf '%s\\0' "$word"; done; case "$*" in *@-*) cat;; esac; }\n${command}`;
  const env = { MLFLOW_TRACKING_TOKEN: 'mbk_of_the_reader' };
  return execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8', env, input: '' }).split('\0');
}

it("sends the letter's own bytes", () => {
  const words = read(copied('write', letter(BODY)));
  expect(words).toContain(BODY);
  expect(words).toContain('https://bridge.example/api/2.0/mlflow/runs/log-metric');
  expect(words).toContain('mbk_of_the_reader');
});

it('sends a long body by a here-document', () => {
  const long = BODY.replace('a3f1', 'a'.repeat(5000));
  expect(read(copied('write', letter(long))).at(-1)).toBe(`${long}\n`);
});

it('holds no key, and keeps the workspace', () => {
  const command = copied('write', letter(BODY, 'team a'));
  expect(command).toContain('--oauth2-bearer "$MLFLOW_TRACKING_TOKEN"');
  expect(read(command)).toContain('X-MLFLOW-WORKSPACE: team a');
});

it('gives the commands of the bridge', () => {
  expect(copied('command', letter(BODY))).toBe('mlflow-bridge dead-letters replay 0000000000d1.1');
  expect(copied('replay', letter(BODY))).toContain("'https://bridge.example/v1/dead-letters/0000000000d1.1/replay'");
});

it('keeps integers exact in JSON', () => {
  expect(copied('json', letter(BODY))).toContain('"step": 9223372036854775807');
  expect(bodyText({ ...letter(BODY).write, body_text: null })).toContain('9223372036854775807');
});
