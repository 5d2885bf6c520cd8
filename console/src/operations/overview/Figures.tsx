// SPDX-License-Identifier: Apache-2.0
// The main figures of the bridge, most of them with a link to their page.
import { Link, type LinkProps } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { spanText } from '../../api/time';
import { countText, durationText, quantityText, rateText, sizeText } from '../figures';
import { useNow } from '../moments/useNow';
import type { Overview } from './overview';

export function Figures({ overview }: { overview: Overview }) {
  const { backlog, dead_letters: letters, lag, workers, rates } = overview;
  return (
    <dl className="figures">
      <Figure
        name="Waiting"
        to="/ops/runs"
        note={`in ${quantityText(backlog.lanes, 'run')}, ${sizeText(backlog.pending_bytes)}`}
      >
        {backlog.writes === null ? '–' : countText(backlog.writes)}
      </Figure>
      <OldestWrite backlog={backlog} />
      <Figure name="Dead letters" to="/ops/dead-letters" note={`${countText(letters.last_hour)} more in the last hour`}>
        {countText(letters.count)}
      </Figure>
      <Figure
        name="Lag of calls"
        note={lag.p95 === null ? 'from accepted to delivered' : `median; 95 %: about ${durationText(lag.p95)}`}
      >
        {lag.p50 === null ? '–' : durationText(lag.p50)}
      </Figure>
      <Figure name="Workers" to="/ops/workers" note={workersNote(workers)}>
        {countText(workers.alive)}
      </Figure>
      <Figure name="Accepted" note={`${rateText(rates.refused)} refused to clients`}>
        {rateText(rates.accepted)}
      </Figure>
    </dl>
  );
}

function OldestWrite({
  backlog: { oldest_accepted_at: oldest, horizon_at: horizon },
}: {
  backlog: Overview['backlog'];
}) {
  const now = useNow();
  const note = horizon ? `expires in ${spanText(Date.parse(horizon) - now)}` : 'no write waits';
  return (
    <Figure name="Oldest" to="/ops/runs" note={note}>
      {oldest ? spanText(now - Date.parse(oldest)) : '–'}
    </Figure>
  );
}

function workersNote({ alive, delivering, versions }: Overview['workers']): string {
  if (alive === 0) return 'no write is delivered';
  if (versions.length > 1) return `versions differ: ${versions.join(', ')}`;
  return `deliver ${quantityText(delivering, 'run')} now`;
}

interface FigureProps {
  name: string;
  note: string;
  to?: LinkProps['to'];
  children: ReactNode;
}

function Figure({ name, note, to, children }: FigureProps) {
  return (
    <div className="figure">
      <dt>{to ? <Link to={to}>{name}</Link> : name}</dt>
      <dd>
        <span className="figure-value">{children}</span>
        <span className="figure-note">{note}</span>
      </dd>
    </div>
  );
}
