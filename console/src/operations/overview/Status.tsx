// SPDX-License-Identifier: Apache-2.0
// The state of the bridge in a sentence, why it is so, since when, and what comes next.
import { Link } from '@tanstack/react-router';

import { Moment } from '../moments/Moment';
import { RunbookLink } from '../runbook/RunbookLink';
import { StatusMark } from '../states/StatusMark';
import type { Overview, Pause, Why } from './overview';
import { headline, statusSentence, statusType } from './statusSentence';

export function Status({ overview }: { overview: Overview }) {
  const figures = headline(overview);
  return (
    <section aria-labelledby="status" className={`status status-${statusType(overview.status)}`}>
      <h1 id="status" className="status-sentence">
        <StatusMark type={statusType(overview.status)} size="medium">
          {statusSentence(overview)}
        </StatusMark>
      </h1>
      {figures && <p className="status-figures">{figures}</p>}
      {overview.gate.paused && <PauseLine pause={overview.gate.paused} />}
      {overview.why.length > 0 && (
        <ul className="whys" aria-label="Why">
          {overview.why.map((why) => (
            <WhyLine key={`${why.code} ${why.text}`} why={why} triesAt={triesAt(why, overview.gate)} />
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

function WhyLine({ why: { since, text, next, runbook }, triesAt: at }: { why: Why; triesAt: string | null }) {
  return (
    <li>
      <div>
        <strong>{text}</strong>
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
            Next: one call is tried at <Moment at={at} />.{' '}
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
      <Link to="/ops/upstreams">Resume under Upstreams</Link>
    </p>
  );
}
