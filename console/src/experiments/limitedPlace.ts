// SPDX-License-Identifier: Apache-2.0

interface Place {
  experimentId?: string;
  runId?: string;
}

/** Returns what a shared link to MLflow's UI names, so that it opens the portal's own page of the same thing. */
export function limitedPlace(hash: string): Place | null {
  const run = /^#\/experiments\/[^/?]+\/runs\/([^/?]+)/.exec(hash);
  if (run?.[1]) return { runId: decodeURIComponent(run[1]) };
  const experiment = /^#\/experiments\/(\d+)/.exec(hash);
  return experiment?.[1] ? { experimentId: experiment[1] } : null;
}
