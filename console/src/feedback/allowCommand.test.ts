// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';

import { allowCommand } from './allowCommand';

test.each([
  ['nightly', ['write', 'read'], 'nightly'],
  ['nightly', ['read'], 'nightly'],
  ['oidc:anna', ['write', 'read'], 'oidc:anna'],
  ['oidc:anna', ['read'], 'oidc:anna --read-only'],
  ['oidc:anna', ['write'], 'oidc:anna --write-only'],
])('the command for %s with the scopes %j keeps them', (client, scopes, words) => {
  expect(allowCommand({ client, scopes }, 'DeleteRun')).toBe(`mlflow-bridge keys update ${words} --allow DeleteRun`);
});
