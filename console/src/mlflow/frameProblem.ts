// SPDX-License-Identifier: Apache-2.0
import { type Problem, problemOf } from '../api/problem';

/** Returns the problem that a document of the frame states in place of MLflow's UI; null for any page. */
export function frameProblem(inner: Document | null): Problem | null {
  // MLflow's UI, another page, or one of another origin, which cannot be read.
  if (!inner || !/json|text\/plain/.test(inner.contentType)) return null;
  const problem = problemOf(502, "MLflow's pages cannot be loaded", inner.body?.textContent?.trim() ?? '', null);
  return { ...problem, title: "MLflow's pages cannot be loaded" };
}
