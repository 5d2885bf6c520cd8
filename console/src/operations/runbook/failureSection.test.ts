// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { failureSection } from './failureSection';

it.each([
  ["AWS refuses the bridge's credentials: ExpiredToken", '#aws-rejects-the-bridges-credentials'],
  ['throttled: status 400', '#throttled'],
  ['status 404 with a body that is not from MLflow', '#breaker-open'],
  [null, '#breaker-open'],
])('leads from %s to %s', (reason, section) => {
  expect(failureSection(reason)).toBe(section);
});
