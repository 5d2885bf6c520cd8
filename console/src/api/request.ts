// SPDX-License-Identifier: Apache-2.0
// Calls of the bridge's HTTP API from the page, with the visitor's session cookie.
import { parseExactJson } from './exactJson';
import { parseProblem, ProblemError, unreachableProblem } from './problem';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface Options {
  method?: Method;
  /** The JSON document of the request. */
  body?: unknown;
  signal?: AbortSignal;
  /** Header fields of the request, such as If-Match. */
  headers?: Record<string, string>;
  /** Set for `POST /v1/session`, where 401 means a wrong key, not a session that has ended. */
  expect401?: boolean;
}

type Listener = () => void;
const signedOutListeners = new Set<Listener>();

/** Calls `listener` when an answer shows that the session has ended. Returns a function that removes the listener. */
export function onSignedOut(listener: Listener): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

/**
 * Sends a request and returns the JSON document of the answer, undefined for 204.
 *
 * Throws `ProblemError` for any other answer than a success. The browser revalidates a GET: it sends
 * `If-None-Match` by itself, and returns the stored answer for 304.
 */
export async function requestJson<Document>(path: string, options: Options = {}): Promise<Document> {
  const response = await sendRequest(path, options);
  const text = await response.text();
  if (!response.ok) {
    const requestId = response.headers.get('X-Request-Id');
    const error = new ProblemError(parseProblem(response.status, response.statusText, text, requestId));
    if (hasEndedSession(error) && !options.expect401) for (const listener of signedOutListeners) listener();
    throw error;
  }
  return (text ? parseExactJson(text) : undefined) as Document;
}

/** Returns whether the session is over. One that is too old for an action (`sign-in-again`) goes on for all others. */
function hasEndedSession(error: ProblemError): boolean {
  return error.status === 401 && error.code !== 'sign-in-again';
}

async function sendRequest(path: string, { method = 'GET', body, headers, signal }: Options): Promise<Response> {
  const init: RequestInit = {
    method,
    cache: 'no-cache',
    credentials: 'same-origin',
    headers: { Accept: 'application/json', ...headers },
  };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...init.headers, 'Content-Type': 'application/json' };
  }
  try {
    return await fetch(path, init);
  } catch (error) {
    // A caller that aborts expects the abort's error. A timeout is the same as no answer.
    if (signal?.aborted && !isTimeout(signal)) throw error;
    throw new ProblemError(unreachableProblem());
  }
}

function isTimeout({ reason }: AbortSignal): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}
