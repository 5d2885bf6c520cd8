// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import { frameProblem } from './frameProblem';

const inner = (contentType: string, text: string) =>
  ({ contentType, body: { textContent: text } }) as unknown as Document;

it('reads the error that the bridge answers in place of a page', () => {
  const body = '{"error_code":"TEMPORARILY_UNAVAILABLE","message":"Upstream can\'t be reached."}';
  expect(frameProblem(inner('application/json', body))).toMatchObject({
    title: "MLflow's pages cannot be loaded",
    detail: "Upstream can't be reached.",
    type: 'TEMPORARILY_UNAVAILABLE',
  });
});

it('finds none in a page, or in a document of another origin', () => {
  expect(frameProblem(inner('text/html', 'MLflow'))).toBeNull();
  expect(frameProblem(null)).toBeNull();
});
