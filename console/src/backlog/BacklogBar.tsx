// SPDX-License-Identifier: Apache-2.0
// The bar over each page that says how far MLflow is behind.
import Icon from '@cloudscape-design/components/icon';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useState } from 'react';

import { ProblemError } from '../api/problem';
import { clockText, momentText } from '../api/time';
import { type OwnBacklog, ownBacklogQuery } from './backlog';
import { backlogSentence, type BacklogState, backlogState, reasonSentence, stateAnnouncement } from './backlogSentence';

/** How often the age in the sentence is updated between two answers. */
const CLOCK_MS = 1000;

export function BacklogBar() {
  const { data, error, dataUpdatedAt } = useQuery(ownBacklogQuery);
  const now = useNow();
  if (error instanceof ProblemError && error.isUnreachable) return <Unreachable since={dataUpdatedAt} />;
  const state = data ? backlogState(data, now) : null;
  return (
    <>
      <Announcer state={state} reason={data?.upstream.reason ?? null} />
      {data && state && state !== 'current' && <Bar backlog={data} state={state} now={now} />}
    </>
  );
}

function Unreachable({ since }: { since: number }) {
  return (
    <div className="backlog-bar" role="alert">
      <Sentence state="stopped">
        The bridge is not reachable{since > 0 && ` since ${clockText(new Date(since))}`}. The page tries again every 5
        seconds.
      </Sentence>
    </div>
  );
}

function Bar({ backlog, state, now }: { backlog: OwnBacklog; state: BacklogState; now: number }) {
  const { upstream } = backlog;
  const explanation = reasonSentence(upstream.reason);
  return (
    <details className="backlog-bar">
      <summary>
        <Sentence state={state}>{backlogSentence(backlog, now)}</Sentence>
        <span className="backlog-more">Details</span>
      </summary>
      <div className="backlog-details">
        {explanation && <p>{explanation}</p>}
        <KeyValuePairs
          columns={4}
          items={[
            { label: 'Writes that wait', value: backlog.writes.toLocaleString('en') },
            { label: 'In runs', value: backlog.lanes.toLocaleString('en') },
            { label: 'Size', value: `${backlog.bytes.toLocaleString('en')} bytes` },
            {
              label: 'Oldest accepted',
              value: backlog.oldest_accepted_at ? momentText(backlog.oldest_accepted_at) : '–',
            },
            { label: 'Last delivery', value: upstream.since ? momentText(upstream.since) : '–' },
            { label: 'Next attempt', value: upstream.next_attempt_at ? momentText(upstream.next_attempt_at) : '–' },
          ]}
        />
        <p>
          The bridge has stored these writes durably. What you see in MLflow&apos;s charts may lack them until they are
          delivered. <Link to="/jobs">See your jobs</Link>
        </p>
      </div>
    </details>
  );
}

function Sentence({ state, children }: { state: BacklogState; children: ReactNode }) {
  const isStopped = state === 'stopped';
  return (
    <span className="backlog-state">
      <Icon
        name={isStopped ? 'status-negative' : 'status-warning'}
        variant={isStopped ? 'error' : 'warning'}
        ariaLabel={isStopped ? 'Error' : 'Warning'}
      />{' '}
      {children}
    </span>
  );
}

/** Announces to a screen reader each change of state; of the state at the page's load only if something is wrong. */
function Announcer({ state, reason }: { state: BacklogState | null; reason: string | null }) {
  const previous = useRef<BacklogState | null>(null);
  const [text, setText] = useState('');
  useEffect(() => {
    if (state === null || state === previous.current) return;
    if (previous.current !== null || state !== 'current') setText(stateAnnouncement(state, reason));
    previous.current = state;
  }, [state, reason]);
  return (
    <p role="status" className="visually-hidden">
      {text}
    </p>
  );
}

function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), CLOCK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
