// SPDX-License-Identifier: Apache-2.0
// The visitor's session, as `GET /v1/session` states it.
import { queryOptions } from '@tanstack/react-query';

import { requestJson } from '../api/request';

export interface SignInMethods {
  key: boolean;
  oidc: boolean;
}

interface Installation {
  version: string;
  /** Names the environment, such as `staging`. */
  label: string | null;
}

export interface SignedIn extends Installation {
  signed_in: true;
  client: string;
  display: string;
  /** How the visitor signed in; `none` where no sign-in is set up. */
  via: 'none' | 'key' | 'oidc' | 'alb';
  scopes: string[];
  actions: string[];
  /** The only experiments that the client may use; null where it is not limited. */
  experiments: string[] | null;
  signed_in_at: string | null;
  ends_at: string | null;
  read_only: boolean;
  /** Host name of Operations, where it has one of its own. */
  console_host: string | null;
  sign_in: SignInMethods;
}

export interface SignedOut extends Installation {
  signed_in: false;
  sign_in: SignInMethods;
}

export type Session = SignedIn | SignedOut;

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => requestJson<Session>('/v1/session', { signal }),
  staleTime: 60_000,
  refetchInterval: 60_000,
});

export const signInWithKey = (key: string): Promise<Session> =>
  requestJson('/v1/session', { method: 'POST', body: { key }, expect401: true });

export const signOut = (): Promise<{ end_session_url: string | null }> =>
  requestJson('/v1/session', { method: 'DELETE', expect401: true });
