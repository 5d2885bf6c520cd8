// SPDX-License-Identifier: Apache-2.0
// Moves the focus from row to row. The link of each row carries `data-row`.

export function moveRowFocus(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')];
  const focused = document.activeElement;
  const current = rows.findIndex((row) => row === focused || rowOf(row)?.contains(focused));
  const next = current === -1 && step === -1 ? rows.length - 1 : current + step;
  const row = rows[Math.min(Math.max(next, 0), rows.length - 1)];
  row?.focus();
  row?.scrollIntoView({ block: 'nearest' });
}

/** Presses the checkbox of the row that has the focus. */
export function selectRow(): void {
  const row = document.activeElement?.closest('tr, li');
  row?.querySelector<HTMLElement>('input[type="checkbox"]')?.click();
}

const rowOf = (link: HTMLElement): Element | null => link.closest('tr, li');
