// SPDX-License-Identifier: Apache-2.0
// Counts and sizes in words.
import type { Measure } from './usage';

export const MEASURE_LABELS: Record<Measure, string> = {
  requests: 'Requests',
  writes: 'Accepted writes',
  bytes: 'Bytes of requests',
  denied: 'Denied (403)',
  limited: 'Beyond a quota (429)',
  refused: 'Not accepted',
  prompt_tokens: 'Prompt tokens',
  completion_tokens: 'Completion tokens',
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Returns a size: `44 KiB`, `1.2 MiB`. */
export function sizeText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 2 ** (10 * power);
  const digits = power > 0 && value < 10 ? 1 : 0;
  return `${value.toLocaleString('en', { maximumFractionDigits: digits })} ${UNITS[power]}`;
}

export function measureText(measure: Measure, value: number): string {
  return measure === 'bytes' ? sizeText(value) : value.toLocaleString('en');
}
