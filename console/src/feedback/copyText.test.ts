// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, it, vi } from 'vitest';

import { copyText } from './copyText';

afterEach(() => {
  vi.unstubAllGlobals();
});

it('uses the clipboard where the page has it', async () => {
  const writeText = vi.fn(() => Promise.resolve());
  vi.stubGlobal('navigator', { clipboard: { writeText } });
  expect(await copyText('abc')).toBe(true);
  expect(writeText).toHaveBeenCalledWith('abc');
});

it('copies a selected text box where the page has no clipboard, and removes the box', async () => {
  vi.stubGlobal('navigator', {});
  let selected = '';
  document.execCommand = vi.fn(() => {
    selected = document.querySelector('textarea')?.value ?? '';
    return true;
  });
  expect(await copyText('abc')).toBe(true);
  expect(selected).toBe('abc');
  expect(document.querySelector('textarea')).toBeNull();
});

it('reports when neither works', async () => {
  vi.stubGlobal('navigator', { clipboard: { writeText: () => Promise.reject(new Error('denied')) } });
  document.execCommand = vi.fn(() => false);
  expect(await copyText('abc')).toBe(false);
});
