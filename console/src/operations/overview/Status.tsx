// SPDX-License-Identifier: Apache-2.0
// The state of the bridge in a sentence, why it is so, since when, and what comes next.
import { Link } from '@tanstack/react-router';

import { Moment } from '../moments/Moment';
import { NextCall } from '../moments/NextCall';
import { RunbookLink } from '../runbook/RunbookLink';
import { StatusMark } from '../states/StatusMark';
import type { Overview, Pause, Why } from './overview';
import { headline, statusSentence, statusType } from './statusSentence';

export function Status({ overview }: { overview: Overview }) {
  const figures = headline(overview);
  const sentence = statusSentence(overview);
  // The line above says all about the pause.
  const causes = overview.why.filter(({ code }) => code !== 'paused' || !overview.gate.paused);
  return (
    <section aria-labelledby="status" className={`status status-${statusType(overview.status)}`}>
      <h1 id="status" className="status-sentence">
        <StatusMark type={statusType(overview.status)} size="medium">
          {sentence}
        </StatusMark>
      </h1>
      {figures && <p className="status-figures">{figures}</p>}
      {overview.gate.paused && <PauseLine pause={overview.gate.paused} />}
      {causes.length > 0 && (
        <ul className="whys" aria-label="Why">
          {causes.map((why) => (
            <WhyLine
              key={`${why.code} ${why.text}`}
              why={why}
              triesAt={triesAt(why, overview.gate)}
              isSaid={sentence.includes(why.text)}
            />
          ))}
        </ul>
      )}
    </section>
  );
}

/** Returns when the circuit breaker lets the next call through: a moment can be shown in the zone of the page. */
function triesAt({ code }: Why, { opens_again_at: at }: Overview['gate']): string | null {
  return code === 'breaker-open' ? at : null;
}

interface WhyProps {
  why: Why;
  triesAt: string | null;
  /** Whether the sentence over the list has the text already. */
  isSaid: boolean;
}

function WhyLine({ why: { since, text, next, runbook }, triesAt: at, isSaid }: WhyProps) {
  return (
    <li>
      <div>
        {!isSaid && <strong>{text}</strong>}
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
