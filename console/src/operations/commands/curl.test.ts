// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { bridgeCommand, curlOf } from './curl';

const ORIGIN = 'https://bridge.example';

it('names the key by a variable, never by its value', () => {
  expect(curlOf({ method: 'GET', path: '/v1/lanes?limit=10' }, ORIGIN)).toBe(
    `curl -sS 'https://bridge.example/v1/lanes?limit=10' \\\n  --oauth2-bearer "$MLFLOW_TRACKING_TOKEN"`,
  );
});

it('quotes for a POSIX shell', () => {
  const command = curlOf({ method: 'PUT', path: '/v1/x', body: `{"why":"it's slow"}` }, ORIGIN);
  expect(command).toContain('curl -sS -X PUT ');
  expect(command).toContain(`--data-binary '{"why":"it'\\''s slow"}'`);
  expect(bridgeCommand('upstream', 'pause', '--why', "it's slow")).toBe(
    `mlflow-bridge upstream pause --why 'it'\\''s slow'`,
  );
});

it('puts a long body into a here-document, byte for byte', () => {
  const body = `{"step":9223372036854775807,"note":"${'x'.repeat(500)}"}`;
  expect(curlOf({ method: 'POST', path: '/v1/x', body }, ORIGIN)).toMatch(
    new RegExp(`--data-binary @- <<'END-OF-BODY'\n${body.replaceAll(/[{}]/g, String.raw`\$&`)}\nEND-OF-BODY$`),
  );
});

it('leaves out what is not given', () => {
  expect(bridgeCommand('lanes', 'list', '--limit', 5, null, undefined)).toBe('mlflow-bridge lanes list --limit 5');
});
