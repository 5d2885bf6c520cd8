// SPDX-License-Identifier: Apache-2.0
// The place in MLflow's UI: the hash of the frame's address, mirrored into the portal's address.
import { useSyncExternalStore } from 'react';

/** Where MLflow's UI begins. */
const FIRST_PLACE = '#/experiments';

/** How often browsers without the Navigation API are polled for the place. */
const PLACE_POLL_MS = 500;

type NavigationWindow = Window & { navigation?: EventTarget };

const listeners = new Set<() => void>();
let current = isPlace(window.location.hash) ? window.location.hash : FIRST_PLACE;

/** Returns the present place, such as `#/experiments/1`. */
export function framePlace(): string {
  return current;
}

export function useFramePlace(): string {
  return useSyncExternalStore(subscribe, framePlace);
}

export function isPlace(hash: string): boolean {
  return hash.startsWith('#/');
}

/** Returns the address of a place in MLflow's UI, for the frame. */
export function frameAddress(place: string): string {
  return `/${place}`;
}

/** Stores the place that a link or the address bar gives. Returns whether it differs from the present one. */
export function storePlace(place: string): boolean {
  if (!isPlace(place) || place === current) return false;
  current = place;
  for (const listener of listeners) listener();
  return true;
}

/**
 * Calls `onPlace` with each new place of the frame. Returns a function that stops it.
 *
 * MLflow's UI navigates with `pushState`, which fires neither `hashchange` nor `popstate`.
 */
export function watchPlace(frame: NavigationWindow, onPlace: (place: string) => void): () => void {
  const reportPlace = () => {
    const place = placeOf(frame);
    if (place) onPlace(place);
  };
  reportPlace();
  const { navigation } = frame;
  if (navigation) {
    navigation.addEventListener('currententrychange', reportPlace);
    return () => navigation.removeEventListener('currententrychange', reportPlace);
  }
  const timer = setInterval(reportPlace, PLACE_POLL_MS);
  return () => clearInterval(timer);
}

/** Returns the place that a window shows; null while it shows anything but MLflow's UI. */
function placeOf(frame: Window): string | null {
  try {
    const { pathname, hash } = frame.location;
    return pathname === '/' && isPlace(hash) ? hash : null;
  } catch {
    // A link has led the frame to another origin.
    return null;
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
