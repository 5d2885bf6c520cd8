// SPDX-License-Identifier: Apache-2.0

interface LinkTarget {
  experimentId?: string;
  runId?: string;
}

/**
 * Returns the run or experiment that a link to MLflow's UI names; null for any other link. `hash` is the link's hash.
 *
 * A client that is limited to experiments may open a link that was shared. It then sees the portal's own page.
 */
export function linkTarget(hash: string): LinkTarget | null {
  const run = /^#\/experiments\/[^/?]+\/runs\/([^/?]+)/.exec(hash);
  if (run?.[1]) return { runId: decodeURIComponent(run[1]) };
  const experiment = /^#\/experiments\/(\d+)/.exec(hash);
  return experiment?.[1] ? { experimentId: experiment[1] } : null;
}
