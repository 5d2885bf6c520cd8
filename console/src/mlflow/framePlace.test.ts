// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { framePlace, storePlace, watchPlace } from './framePlace';

type Frame = Parameters<typeof watchPlace>[0];

function frameAt(hash: string, navigation?: EventTarget) {
  const location = { pathname: '/', hash };
  return { location, window: { location, navigation } as unknown as Frame };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

it('hears each navigation where the browser reports it', () => {
  const navigation = new EventTarget();
  const { location, window } = frameAt('#/experiments', navigation);
  const places: string[] = [];
  const stop = watchPlace(window, (place) => places.push(place));
  location.hash = '#/experiments/7';
  navigation.dispatchEvent(new Event('currententrychange'));
  stop();
  location.hash = '#/models';
  navigation.dispatchEvent(new Event('currententrychange'));
  expect(places).toEqual(['#/experiments', '#/experiments/7']);
});

it('looks twice a second where the browser does not', () => {
  const { location, window } = frameAt('#/experiments');
  const places: string[] = [];
  const stop = watchPlace(window, (place) => places.push(place));
  location.hash = '#/experiments/7';
  vi.advanceTimersByTime(500);
  stop();
  location.hash = '#/models';
  vi.advanceTimersByTime(5000);
  expect(places).toEqual(['#/experiments', '#/experiments/7']);
});

it('has no place for another document than the UI', () => {
  const { location, window } = frameAt('#/experiments');
  location.pathname = '/docs';
  const places: string[] = [];
  watchPlace(window, (place) => places.push(place))();
  expect(places).toEqual([]);
});

it('keeps a new place, and nothing else than a place', () => {
  expect(storePlace('#/experiments/3')).toBe(true);
  expect(storePlace('#/experiments/3')).toBe(false);
  expect(storePlace('#content')).toBe(false);
  expect(framePlace()).toBe('#/experiments/3');
});
