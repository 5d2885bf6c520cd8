// SPDX-License-Identifier: Apache-2.0
// The state of the bridge in a sentence, why it is so, since when, and what comes next.
import { Link } from '@tanstack/react-router';

import { Moment } from '../moments/Moment';
import { NextCall } from '../moments/NextCall';
import { RunbookLink } from '../runbook/RunbookLink';
import { StatusMark } from '../states/StatusMark';
import type { Overview, Pause, StatusReason } from './overview';
import { figuresSentence, statusSentence, statusType } from './statusSentence';

export function Status({ overview }: { overview: Overview }) {
  const figures = figuresSentence(overview);
  const sentence = statusSentence(overview);
  // The line about the pause shows that reason already.
  const reasons = overview.why.filter(({ code }) => code !== 'paused' || !overview.gate.paused);
  return (
    <section aria-labelledby="status" className={`status status-${statusType(overview.status)}`}>
      <h1 id="status" className="status-sentence">
        <StatusMark type={statusType(overview.status)} size="medium">
          {sentence}
        </StatusMark>
      </h1>
      {figures && <p className="status-figures">{figures}</p>}
      {overview.gate.paused && <PauseLine pause={overview.gate.paused} />}
      {reasons.length > 0 && (
        <ul className="whys" aria-label="Why">
          {reasons.map((reason) => (
            <ReasonLine
              key={`${reason.code} ${reason.text}`}
              reason={reason}
              nextCallAt={nextCallAt(reason, overview.gate)}
              isShownAbove={sentence.includes(reason.text)}
            />
          ))}
        </ul>
      )}
    </section>
  );
}

/** Returns when the circuit breaker lets the next call through: a moment, which the page shows in its zone. */
function nextCallAt({ code }: StatusReason, { opens_again_at: at }: Overview['gate']): string | null {
  return code === 'breaker-open' ? at : null;
}

interface ReasonLineProps {
  reason: StatusReason;
  nextCallAt: string | null;
  /** Whether the sentence over the list has the text already. */
  isShownAbove: boolean;
}

function ReasonLine({ reason: { since, text, next, runbook }, nextCallAt: at, isShownAbove }: ReasonLineProps) {
  return (
    <li>
      <div>
        {!isShownAbove && <strong>{text}</strong>}
        {since && (
          <>
            {' '}
            Since <Moment at={since} />.
          </>
        )}
      </div>
      <div>
        {at ? (
          <>
            Next: <NextCall at={at} />.{' '}
          </>
        ) : (
          next && <>Next: {next} </>
        )}
        {runbook && <RunbookLink section={runbook}>What to do</RunbookLink>}
      </div>
    </li>
  );
}

function PauseLine({ pause: { by, since, until } }: { pause: Pause }) {
  return (
    <p className="status-figures">
      Paused by {by} at <Moment at={since} />
      {until ? (
        <>
          , until <Moment at={until} />.
        </>
      ) : (
        ', until an operator resumes it.'
      )}{' '}
      <Link to="/ops/upstreams">Resume under Upstreams</Link>{' '}
      <RunbookLink section="#deliveries-are-paused">What to do</RunbookLink>
    </p>
  );
}
