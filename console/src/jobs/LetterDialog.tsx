// SPDX-License-Identifier: Apache-2.0
// All of one dead letter: the write as it is sent, upstream's answer and each attempt.
import Modal from '@cloudscape-design/components/modal';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { formatExactJson } from '../api/exactJson';
import { momentText } from '../api/time';
import { CodeBlock } from '../feedback/CodeBlock';
import { QueryView } from '../feedback/QueryView';
import { letterQuery } from './jobs';
import { letterSentence } from './jobSentence';

export function LetterDialog({ letterId, onClose }: { letterId: string; onClose: () => void }) {
  const query = useQuery(letterQuery(letterId));
  return (
    <Modal visible size="large" header="Dead letter" onDismiss={onClose}>
      <QueryView query={query} label="the dead letter" action="GetDeadLetter">
        {(letter) => (
          <SpaceBetween size="m">
            <div>{letterSentence(letter)}</div>
            <KeyValuePairs
              columns={2}
              items={[
                { label: 'Job', value: <span className="id">{letter.job_id}</span> },
                { label: 'Run', value: <span className="id">{letter.run_id ?? letter.lane}</span> },
                { label: 'Accepted', value: momentText(letter.accepted_at) },
                { label: 'Given up at', value: momentText(letter.buried_at) },
              ]}
            />
            <strong>The write</strong>
            <CodeBlock code={formatExactJson(letter.write)} label="the write" />
            <strong>Attempts: {letter.attempt_count}</strong>
            <CodeBlock code={formatExactJson(letter.attempts)} label="the attempts" />
          </SpaceBetween>
        )}
      </QueryView>
    </Modal>
  );
}
