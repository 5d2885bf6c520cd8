// SPDX-License-Identifier: Apache-2.0
// The measures of usage in words, with their figures.
import { sizeText } from '../figures';
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

export function measureText(measure: Measure, value: number): string {
  return measure === 'bytes' ? sizeText(value) : value.toLocaleString('en');
}
