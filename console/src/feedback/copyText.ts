// SPDX-License-Identifier: Apache-2.0

/**
 * Copies a text and returns whether that worked.
 *
 * `navigator.clipboard` exists in secure contexts only, so over plain HTTP the text is copied out of a text box.
 */
export async function copyText(text: string): Promise<boolean> {
  const clipboard: Clipboard | undefined = navigator.clipboard;
  if (clipboard) {
    try {
      await clipboard.writeText(text);
      return true;
    } catch {
      // The browser denies it, in a frame for example; the text box may work all the same.
    }
  }
  return copyFromTextBox(text);
}

function copyFromTextBox(text: string): boolean {
  const focused = document.activeElement;
  const box = document.createElement('textarea');
  box.value = text;
  box.readOnly = true;
  box.className = 'visually-hidden';
  // A dialog keeps the focus inside itself, so the box has to be in it.
  (focused?.closest('[role="dialog"]') ?? document.body).append(box);
  box.select();
  try {
    return document.execCommand('copy');
  } finally {
    box.remove();
    if (focused instanceof HTMLElement) focused.focus();
  }
}
