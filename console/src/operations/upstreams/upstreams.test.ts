// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';

import type { Gate } from '../overview/overview';
import { answerText } from './answerText';
import { gateState } from './gateSentence';
import { buildPauseOrder, pauseOptions } from './pauseChoice';
import type { Failure } from './upstream';

const NOW = Date.parse('2026-11-29T14:00:00.400Z');

function gate(changes: Partial<Gate> = {}): Gate {
  return {
    breaker: 'closed',
    why: null,
    since: null,
    opens_again_at: null,
    rate: 25,
    configured_rate: 25,
    burst: 50,
    bucket: 50,
    delivered_at: null,
    paused: null,
    ...changes,
  };
}

it('says whether calls go through', () => {
  expect(gateState(gate()).text).toBe('Calls go through, up to 25/s.');
  expect(gateState(gate({ rate: 1 })).text).toBe(
    'Upstream throttles: calls are sent at 1/s in place of 25/s until it takes more.',
  );
  expect(gateState(gate({ rate: null })).text).toBe('Calls go through, without a limit.');
  expect(gateState(gate({ breaker: 'open', why: 'Upstream answers 503.' }))).toEqual({
    type: 'error',
    text: 'The circuit breaker is open: Upstream answers 503. No call goes through.',
  });
  expect(gateState(gate({ breaker: 'half-open' })).type).toBe('warning');
});

it('puts a pause before all else', () => {
  const paused = { why: 'Maintenance', until: null, by: 'anna', since: '2026-11-29T14:00:00Z' };
  expect(gateState(gate({ breaker: 'open', paused })).text).toBe('Deliveries are paused: Maintenance');
});

it('orders a pause with its end', () => {
  expect(buildPauseOrder(' Maintenance ', 15, NOW)).toEqual({
    paused: true,
    why: 'Maintenance',
    until: '2026-11-29T14:15:00Z',
  });
  expect(buildPauseOrder('Maintenance', null, NOW).until).toBeNull();
  expect(pauseOptions('x y', 15)).toEqual(['--why', 'x y', '--for', '15m']);
  expect(pauseOptions('', null)).toEqual(['--why', 'REASON']);
});

it('says once what upstream answered', () => {
  const failure = { status: 503, error_code: null, message: 'status 503 with a body that is not from MLflow' };
  expect(answerText(failure as Failure)).toBe(failure.message);
  const throttled = { status: 429, error_code: 'ThrottlingException', message: 'Rate exceeded' };
  expect(answerText(throttled as Failure)).toBe('429 ThrottlingException Rate exceeded');
  expect(answerText({ status: null, error_code: null, message: 'No answer.' } as Failure)).toBe('No answer.');
});
