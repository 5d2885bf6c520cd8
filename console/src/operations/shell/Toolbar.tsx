// SPDX-License-Identifier: Apache-2.0
// Above each page: the time of the last answer, and switches for updates, the zone and the list of keys.
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';

import { clockText, offsetText } from '../../api/time';
import { PERIODS, setPeriod, togglePaused, useLiveSettings } from '../live/live';
import { useReachability } from '../live/reachability';
import { useNow } from '../moments/useNow';
import { switchZone, useZone } from '../moments/zone';

export function Toolbar({ onListKeys }: { onListKeys: () => void }) {
  const { paused, minPeriodMs } = useLiveSettings();
  useRefetchOnResume(paused);
  return (
    <div className="toolbar" role="group" aria-label="Updates">
      <LastAnswerTime paused={paused} />
      <button type="button" className="tool" aria-pressed={paused} onClick={togglePaused}>
        <span aria-hidden="true" className={paused ? 'sign-resume' : 'sign-pause'} /> {paused ? 'Resume' : 'Pause'}
      </button>
      <label className="tool">
        Every{' '}
        <select value={minPeriodMs} disabled={paused} onChange={(event) => setPeriod(Number(event.target.value))}>
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

function LastAnswerTime({ paused }: { paused: boolean }) {
  const { lastAnswerAt, unreachable } = useReachability();
  const zone = useZone();
  if (lastAnswerAt === null) return <span className="as-of" />;
  return (
    <span className={unreachable || paused ? 'as-of as-of-old' : 'as-of'}>
      as of {clockText(lastAnswerAt, zone)}
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

/** Requests all shown documents again when updates resume after a pause. */
function useRefetchOnResume(paused: boolean): void {
  const client = useQueryClient();
  const wasPaused = useRef(paused);
  useEffect(() => {
    if (wasPaused.current && !paused) void client.invalidateQueries({ queryKey: ['ops'] });
    wasPaused.current = paused;
  }, [paused, client]);
}
