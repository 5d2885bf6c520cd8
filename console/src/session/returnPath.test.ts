// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { HOME, oidcPath, safeReturnPath } from './returnPath';

it.each(['/app/jobs', '/app/#/experiments/1/runs/2?a=b', '/'])('keeps the path %s', (to) => {
  expect(safeReturnPath(to)).toBe(to);
});

it.each([
  undefined,
  '',
  'app/jobs',
  '//evil.example',
  '/\\evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  'https://evil.example/',
  'javascript:alert(1)',
  ' /app',
])('replaces %j by the home page', (to) => {
  expect(safeReturnPath(to)).toBe(HOME);
});

it('encodes the place', () => {
  expect(oidcPath('/app/#/experiments/1?x=1&y=2')).toBe(
    '/app/sign-in/oidc?to=%2Fapp%2F%23%2Fexperiments%2F1%3Fx%3D1%26y%3D2',
  );
});
