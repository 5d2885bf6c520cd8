// SPDX-License-Identifier: Apache-2.0
// Where a visitor goes after the sign-in.

export const HOME = '/app/';

/**
 * Returns `to` if it is a path of this origin, else the home page.
 *
 * Browsers read `//host` and `/\host` as another host, and drop tabs and line ends from addresses before they do so.
 */
export function safeReturnPath(to: string | undefined): string {
  if (!to || !/^\/(?![/\\])/.test(to) || hasControlCharacter(to)) return HOME;
  return to;
}

/** Returns the address of the present page, as `to` of the sign-in page takes it. */
export function currentPath(location: Location = window.location): string {
  return location.pathname + location.search + location.hash;
}

/** Returns the address at which the provider's sign-in begins. */
export function oidcPath(to: string): string {
  return `/app/sign-in/oidc?to=${encodeURIComponent(to)}`;
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\u007f');
}
