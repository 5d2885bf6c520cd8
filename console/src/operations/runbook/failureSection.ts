// SPDX-License-Identifier: Apache-2.0
// The section of the runbook for an upstream that fails, by the reason that the bridge states. The overview's is the same.

export function failureSection(reason: string | null): string {
  if (reason?.includes('credentials')) return '#aws-rejects-the-bridges-credentials';
  return reason?.startsWith('throttled') ? '#throttled' : '#breaker-open';
}
