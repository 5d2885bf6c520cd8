// SPDX-License-Identifier: Apache-2.0
import { parseProblem, type Problem } from '../api/problem';

const TITLE = "MLflow's pages cannot be loaded";
/** A script cannot read the status of a frame's document. The bridge answers so where upstream fails. */
const ASSUMED_STATUS = 502;

/** Returns the problem that a document of the frame states in place of MLflow's UI; null for any page. */
export function frameProblem(frameDocument: Document | null): Problem | null {
  // Any page is HTML, and a document of another origin cannot be read.
  if (!frameDocument || !/json|text\/plain/.test(frameDocument.contentType)) return null;
  const problem = parseProblem(ASSUMED_STATUS, TITLE, frameDocument.body?.textContent?.trim() ?? '', null);
  return { ...problem, title: TITLE };
}
