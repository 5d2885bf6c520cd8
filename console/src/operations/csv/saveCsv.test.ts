// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, it, vi } from 'vitest';

import { saveCsv } from './saveCsv';

function answer(status: number, body: string, type: string): void {
  vi.stubGlobal(
    'fetch',
    vi.fn(() => Promise.resolve(new Response(body, { status, headers: { 'Content-Type': type } }))),
  );
}

afterEach(() => {
  vi.unstubAllGlobals();
});

it('stores the answer under the name of the file', async () => {
  answer(200, 'lane,writes', 'text/csv; charset=utf-8');
  const stored: string[] = [];
  URL.createObjectURL = vi.fn(() => 'blob:1');
  URL.revokeObjectURL = vi.fn();
  vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function click(this: HTMLAnchorElement) {
    stored.push(`${this.download} ${this.href}`);
  });
  await saveCsv('/v1/lanes', 'runs.csv');
  expect(stored).toEqual(['runs.csv blob:1']);
  expect(fetch).toHaveBeenCalledWith('/v1/lanes', expect.objectContaining({ headers: { Accept: 'text/csv' } }));
});

it('stores no other document, and no refusal', async () => {
  answer(200, '{}', 'application/json');
  await expect(saveCsv('/v1/lanes', 'runs.csv')).rejects.toThrow('no CSV');
  answer(403, '{"title":"Forbidden"}', 'application/problem+json');
  await expect(saveCsv('/v1/lanes', 'runs.csv')).rejects.toMatchObject({ status: 403 });
});
