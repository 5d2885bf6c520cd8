// SPDX-License-Identifier: Apache-2.0
// What an answer that is no success says: a problem document (RFC 9457), or MLflow's `{error_code, message}`.

export interface Problem {
  /** Stable name of the problem, such as `urn:mlflow-bridge:problem:forbidden`; null where the answer has none. */
  type: string | null;
  title: string;
  detail: string | null;
  /** The HTTP status; 0 where no answer came. */
  status: number;
  /** By which the request is found in the bridge's log. */
  requestId: string | null;
  /** Further members of the problem document, such as the `count` of letters. */
  members?: Record<string, unknown>;
}

/** An answer that is no success, or no answer. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = 'ProblemError';
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }

  /** The last part of `type`, such as `forbidden`. */
  get code(): string | null {
    return this.problem.type?.split(/[:/#]/).at(-1) ?? null;
  }
}

/** Reads the problem that an answer's body states; a body that states none gives the status alone. */
export function problemOf(status: number, statusText: string, body: string, requestId: string | null): Problem {
  const document = objectOf(body);
  const text = (name: string): string | null => (typeof document[name] === 'string' ? document[name] : null);
  return {
    type: text('type') ?? text('error_code'),
    title: text('title') ?? text('error_code') ?? (statusText || `Status ${status}`),
    detail: text('detail') ?? text('message'),
    status,
    requestId,
    members: document,
  };
}

export function unreachable(): Problem {
  return {
    type: null,
    title: 'The bridge does not answer',
    detail: 'No answer came to the request. Check the network, and that the api process runs.',
    status: 0,
    requestId: null,
  };
}

function objectOf(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
