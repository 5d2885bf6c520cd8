// SPDX-License-Identifier: Apache-2.0
import type { Failure } from './upstream';

/** Returns what upstream answered: status, code and message, none of them twice. */
export function answerText({ status, error_code: code, message }: Failure): string {
  const parts = [status === null ? null : String(status), code].filter((part) => part && !message.includes(part));
  return [...parts, message].filter(Boolean).join(' ');
}
