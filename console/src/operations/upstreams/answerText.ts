// SPDX-License-Identifier: Apache-2.0
import type { Failure } from './upstream';

/** Returns upstream's answer in words: status, code and message. A message that has the others stands alone. */
export function answerText({ status, error_code: code, message }: Failure): string {
  const parts = [status === null ? null : String(status), code].filter((part) => part && !message.includes(part));
  return [...parts, message].filter(Boolean).join(' ');
}
