// SPDX-License-Identifier: Apache-2.0
// The details of a dead letter: the message, advice, conflicts, ids, attempts, and the write.
import Alert from '@cloudscape-design/components/alert';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { CopyButton } from '../../feedback/CopyButton';
import { Moment } from '../moments/Moment';
import { RunbookLink } from '../runbook/RunbookLink';
import { AttemptTable } from './AttemptTable';
import { conflictSentence, overwrittenText } from './conflictText';
import { CopyLetter } from './CopyLetter';
import { conflictsQuery, type Letter } from './letters';
import { letterAdvice } from './letterText';
import { WriteView } from './WriteView';

export function LetterDetails({ letter }: { letter: Letter }) {
  return (
    <SpaceBetween size="m">
      <blockquote className="upstream-words">{letter.message || 'Upstream said nothing.'}</blockquote>
      <div>
        {letterAdvice(letter.reason)} <RunbookLink section="#there-are-dead-letters" />
      </div>
      <ConflictNote letterId={letter.letter_id} />
      <KeyValuePairs
        columns={2}
        items={[
          { label: 'Given up', value: <Moment at={letter.buried_at} full /> },
          { label: 'Accepted', value: <Moment at={letter.accepted_at} full /> },
          {
            label: 'Client',
            value: (
              <Link to="/ops/clients/$name" params={{ name: letter.client }}>
                {letter.client}
              </Link>
            ),
          },
          {
            label: letter.run_id ? 'Run' : 'Lane',
            value: (
              <>
                <Link to="/ops/runs/$lane" params={{ lane: letter.lane }} className="id">
                  {letter.run_id ?? letter.lane}
                </Link>{' '}
                <CopyButton text={letter.run_id ?? letter.lane} label="the run's id" />
              </>
            ),
          },
        ]}
      />
      <Trail letter={letter} />
      <div>
        <h3>
          {letter.attempt_count.toLocaleString('en')} {letter.attempt_count === 1 ? 'attempt' : 'attempts'}
        </h3>
        <AttemptTable letter={letter} />
      </div>
      <div>
        <div className="write-head">
          <h3>The write, as it was sent</h3>
          <CopyLetter letter={letter} />
        </div>
        <WriteView write={letter.write} />
      </div>
    </SpaceBetween>
  );
}

function ConflictNote({ letterId }: { letterId: string }) {
  const { data, error, isPending } = useQuery(conflictsQuery(letterId));
  if (isPending) return <StatusIndicator type="loading">Looking up what a replay would overwrite</StatusIndicator>;
  if (error)
    return (
      <StatusIndicator type="info">It is not known what a replay would overwrite: {error.message}</StatusIndicator>
    );
  if (!data.checked) {
    return (
      <StatusIndicator type="info">
        {conflictSentence({ ...data, overwrites: [] }).split('.')[0]}. MLflow was not asked:{' '}
        {data.why ?? 'no reason is known'}
      </StatusIndicator>
    );
  }
  if (data.overwrites.length === 0) return <StatusIndicator type="success">{conflictSentence(data)}</StatusIndicator>;
  return (
    <Alert type="warning">
      {conflictSentence(data)}
      <ul className="overwrites">
        {data.overwrites.map((each, index) => (
          <li key={index}>{overwrittenText(each)}</li>
        ))}
      </ul>
    </Alert>
  );
}

/** Shows the ids of the client's request, of the job and of upstream's request, by which logs are searched. */
function Trail({ letter }: { letter: Letter }) {
  const request = letter.trail?.request_id ?? letter.request_id;
  const upstream = letter.trail?.upstream_request_id ?? letter.upstream?.request_id ?? null;
  return (
    <div>
      <h3>Trail</h3>
      <ol className="trail">
        <li>
          <span>Request</span> <TrailId id={request} label="the request's id" />
        </li>
        <li>
          <span>Job</span>{' '}
          <Link to="/ops/jobs/$jobId" params={{ jobId: letter.job_id }} className="id">
            {letter.job_id}
          </Link>{' '}
          <CopyButton text={letter.job_id} label="the job's id" />
        </li>
        <li>
          <span>Upstream's request</span> <TrailId id={upstream} label="upstream's request id" />
        </li>
      </ol>
    </div>
  );
}

function TrailId({ id, label }: { id: string | null; label: string }) {
  if (id === null) return <>not known</>;
  return (
    <>
      <span className="id">{id}</span> <CopyButton text={id} label={label} />
    </>
  );
}
