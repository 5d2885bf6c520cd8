// SPDX-License-Identifier: Apache-2.0
// The problem that an unsuccessful answer states: a problem document (RFC 9457), or MLflow's `{error_code, message}`.

export interface Problem {
  /** Stable name of the problem, such as `urn:mlflow-bridge:problem:forbidden`; null where the answer has none. */
  type: string | null;
  title: string;
  detail: string | null;
  /** The HTTP status; 0 where no answer came. */
  status: number;
  /** The id under which the bridge's log has the request. */
  requestId: string | null;
  /** Further members of the problem document, such as the `count` of letters. */
  members?: Record<string, unknown>;
}

/** A request that failed: its answer was no success, or none came. */
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

  /** Whether no answer came at all. */
  get isUnreachable(): boolean {
    return this.problem.status === 0;
  }

  /** The last part of `type`, such as `forbidden`. */
  get code(): string | null {
    return this.problem.type?.split(/[:/#]/).at(-1) ?? null;
  }
}

/** Returns the problem that an answer's body states. A body that states none gives a problem with the status alone. */
export function parseProblem(status: number, statusText: string, body: string, requestId: string | null): Problem {
  const document = parseObject(body);
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

/** Returns the problem of a request that had no answer. */
export function unreachableProblem(): Problem {
  return {
    type: null,
    title: 'The bridge does not answer',
    detail: 'No answer came to the request. Check the network, and that the api process runs.',
    status: 0,
    requestId: null,
  };
}

/** Returns the JSON object in a body; an empty one for any other body. */
function parseObject(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
