// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { allowCommand } from './allowCommand';

it.each([
  ['nightly', ['write', 'read'], 'nightly'],
  ['nightly', ['read'], 'nightly'],
  ['oidc:anna', ['write', 'read'], 'oidc:anna'],
  ['oidc:anna', ['read'], 'oidc:anna --read-only'],
  ['oidc:anna', ['write'], 'oidc:anna --write-only'],
])('keeps the scopes of %s, which are %j', (client, scopes, words) => {
  expect(allowCommand({ client, scopes }, 'DeleteRun')).toBe(`mlflow-bridge keys update ${words} --allow DeleteRun`);
});
