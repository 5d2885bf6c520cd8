// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { expiryOf, usesOf } from './keys';

const KEY = { key_id: 'abc123', client: 'nightly', secret: 'mbk_abc123_secret', expires_at: null };

it('puts a new key into the lines that use it', () => {
  const codes = usesOf({ ...KEY, kind: 'bearer' }, 'https://bridge.example').map(({ code }) => code);
  expect(codes[0]).toContain('export MLFLOW_TRACKING_TOKEN=mbk_abc123_secret');
  expect(codes.join('\n')).not.toContain('YOUR-');
});

it('puts both parts of a signing key into its lines', () => {
  const [use] = usesOf({ ...KEY, key_id: 'MBKAABC', secret: 's3cret', kind: 'sigv4' }, 'https://bridge.example');
  expect(use?.code).toContain('AWS_ACCESS_KEY_ID=MBKAABC AWS_SECRET_ACCESS_KEY=s3cret');
});

it('ends a key after its lifetime', () => {
  const now = new Date('2026-11-30T12:00:00Z');
  expect(expiryOf(30, now)).toBe('2026-12-30T12:00:00.000Z');
  expect(expiryOf(null, now)).toBeNull();
});
