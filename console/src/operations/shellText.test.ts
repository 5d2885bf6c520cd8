// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

import { curlOf, option, shellWord } from './shellText';

/** Returns what a shell passes to a command: each word on a line of its own, then what stands on standard input. */
function read(command: string): string[] {
  const script = `curl() { for word; do printf '%s\\0' "$word"; done; case "$*" in *@-*) cat;; esac; }\n${command}`;
  return execFileSync('/bin/sh', ['-c', script], {
    encoding: 'utf8',
    env: { KEY: 'mbk_of_the_reader' },
    input: '',
  }).split('\0');
}

it.each(["it's", '$HOME `id` "x"', 'a\nb', '', '!', '*'])('quotes %j so that a shell reads it unchanged', (text) => {
  expect(execFileSync('/bin/sh', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' })).toBe(text);
});

it('leaves plain words as they are', () => {
  expect(shellWord('oidc:anna@example.org')).toBe('oidc:anna@example.org');
});

it('keeps a value that begins with a hyphen apart from options', () => {
  expect(option('--client', '-x')).toBe('--client=-x');
  expect(option('--client', "an'na")).toBe("--client 'an'\\''na'");
});

it('sends a body byte for byte, with integers that no JavaScript number holds', () => {
  const body = `{"key":"it's","step":9223372036854775807,"value":1.0}`;
  const words = read(curlOf({ method: 'POST', path: '/api/x?a=1&b=2', body }, 'https://bridge.example'));
  expect(words).toContain(body);
  expect(words).toContain('https://bridge.example/api/x?a=1&b=2');
});

it('names the key by a variable', () => {
  const command = curlOf({ method: 'GET', path: '/v1/dead-letters' }, 'https://bridge.example');
  expect(command).toContain('--oauth2-bearer "$KEY"');
  expect(read(command)).toContain('mbk_of_the_reader');
});

it('puts a long body into a here-document, with an end mark that the body does not contain', () => {
  const body = `{"values":"${"it's $HOME ".repeat(200)}"}\nEND\nEND_`;
  const command = curlOf({ method: 'POST', path: '/api/x', body }, 'https://bridge.example');
  expect(command.endsWith('\nEND__')).toBe(true);
  expect(read(command).at(-1)).toBe(`${body}\n`);
});
