// SPDX-License-Identifier: Apache-2.0
import { parseProblem, ProblemError, unreachableProblem } from '../../api/problem';

/** Fetches a list as CSV, and stores it as a file. Throws `ProblemError` where the bridge gives none. */
export async function saveCsv(path: string, fileName: string): Promise<void> {
  const address = URL.createObjectURL(await fetchCsv(path));
  const link = document.createElement('a');
  link.href = address;
  link.download = fileName;
  link.click();
  URL.revokeObjectURL(address);
}

async function fetchCsv(path: string): Promise<Blob> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', headers: { Accept: 'text/csv' } });
  } catch {
    throw new ProblemError(unreachableProblem());
  }
  if (response.ok && response.headers.get('Content-Type')?.startsWith('text/csv')) return response.blob();
  if (response.ok) throw new Error('This version of the bridge has no CSV of this list.');
  const requestId = response.headers.get('X-Request-Id');
  throw new ProblemError(parseProblem(response.status, response.statusText, await response.text(), requestId));
}
