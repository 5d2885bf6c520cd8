// SPDX-License-Identifier: Apache-2.0
// The clock of the data, and how it goes on: pause, period, zone, keys.
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';

import { clockText, offsetText } from '../../api/time';
import { PERIODS, setPeriod, togglePaused, useLive } from '../live/live';
import { useReach } from '../live/reach';
import { useNow } from '../moments/useNow';
import { switchZone, useZone } from '../moments/zone';

export function Toolbar({ onListKeys }: { onListKeys: () => void }) {
  const { paused, leastMs } = useLive();
  useNewsOnResume(paused);
  return (
    <div className="toolbar" role="group" aria-label="Updates">
      <AsOf paused={paused} />
      <button type="button" className="tool" aria-pressed={paused} onClick={togglePaused}>
        <span aria-hidden="true" className={paused ? 'sign-resume' : 'sign-pause'} /> {paused ? 'Resume' : 'Pause'}
      </button>
      <label className="tool">
        Every{' '}
        <select value={leastMs} disabled={paused} onChange={(event) => setPeriod(Number(event.target.value))}>
          {PERIODS.map(({ ms, text }) => (
            <option key={ms} value={ms}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <ZoneSwitch />
      <button type="button" className="tool" onClick={onListKeys}>
        <kbd aria-hidden="true">?</kbd> Keys
      </button>
    </div>
  );
}

function AsOf({ paused }: { paused: boolean }) {
  const { asOf, unreachable } = useReach();
  const zone = useZone();
  if (asOf === null) return <span className="as-of" />;
  return (
    <span className={unreachable || paused ? 'as-of as-of-old' : 'as-of'}>
      as of {clockText(asOf, zone)}
      {paused && ', paused'}
    </span>
  );
}

function ZoneSwitch() {
  const zone = useZone();
  const now = useNow();
  return (
    <button type="button" className="tool" aria-pressed={zone === 'utc'} onClick={switchZone}>
      UTC<span className="visually-hidden"> in place of local time</span>
      <span className="tool-note"> {zone === 'utc' ? 'shown' : `now ${offsetText('local', now)}`}</span>
    </button>
  );
}

/** Asks for all that is shown when updates go on after a pause. */
function useNewsOnResume(paused: boolean): void {
  const client = useQueryClient();
  const before = useRef(paused);
  useEffect(() => {
    if (before.current && !paused) void client.invalidateQueries({ queryKey: ['ops'] });
    before.current = paused;
  }, [paused, client]);
}
