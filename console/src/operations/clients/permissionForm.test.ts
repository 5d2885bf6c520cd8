// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import type { Permissions } from './clients';
import { differences, formOf, NEW_CLIENT, permissionsCommand, permissionsOf, problemsOf } from './permissionForm';

const CLIENT: Permissions = {
  scopes: ['write', 'read'],
  allow: ['DeleteRun'],
  deny: ['SetTag'],
  experiments: ['7', '12'],
  quota: { requests: 2.5, writes: null, bytes: 2 ** 20, pending: 0, tokens_per_day: 100_000 },
};

it('gives back what it shows', () => {
  expect(permissionsOf(formOf(CLIENT))).toEqual(CLIENT);
  expect(problemsOf(formOf(CLIENT))).toEqual({});
  expect(formOf(CLIENT).quota).toMatchObject({ bytes: '1MiB', pending: '0', writes: '' });
});

it('keeps the default apart from no limit', () => {
  const form = { ...formOf(NEW_CLIENT), quota: { ...formOf(NEW_CLIENT).quota, requests: '0' } };
  expect(permissionsOf(form).quota).toMatchObject({ requests: 0, writes: null });
});

it.each([
  ['requests', 'many'],
  ['requests', '5MiB'],
  ['pending', '-1'],
  ['pending', '1.3'],
  ['tokens_per_day', '1.5'],
] as const)('refuses the limit %s = %s', (name, typed) => {
  const form = formOf(NEW_CLIENT);
  expect(problemsOf({ ...form, quota: { ...form.quota, [name]: typed } })).toHaveProperty(name);
});

it('refuses a limit to experiments that are none', () => {
  const form = { ...formOf(NEW_CLIENT), isLimited: true };
  expect(problemsOf(form).experiments).toContain('at least one');
  expect(problemsOf({ ...form, experiments: '7, nightly' }).experiments).toContain('is a number');
  expect(problemsOf({ ...form, experiments: '7', scopes: ['admin'] }).experiments).toContain('Operators');
});

it('gives the same as a command', () => {
  expect(permissionsCommand('oidc:anna', CLIENT)).toBe(
    'mlflow-bridge keys update oidc:anna --read-write --allow DeleteRun --deny SetTag --experiment 7 --experiment 12' +
      ' --requests-per-second 2.5 --bytes-per-second 1MiB --pending 0 --tokens-per-day 100000',
  );
  expect(permissionsCommand('ops', { ...NEW_CLIENT, scopes: ['write', 'read', 'admin'] })).toBe(
    'mlflow-bridge keys update ops --admin --experiment any',
  );
});

it('says what another administrator has changed', () => {
  const after = { ...CLIENT, allow: [], experiments: null, quota: { ...CLIENT.quota, requests: null } };
  expect(differences(CLIENT, after)).toEqual([
    'Allowed by name: DeleteRun became none',
    'Experiments: 7, 12 became all',
    'Requests a second: 2.5 became default',
  ]);
  expect(differences(CLIENT, { ...CLIENT })).toEqual([]);
});
