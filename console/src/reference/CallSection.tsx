// SPDX-License-Identifier: Apache-2.0
// One operation: what it does, takes and answers. Its parts are made when it is first opened.
import Box from '@cloudscape-design/components/box';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useEffect, useRef, useState } from 'react';

import { formatExactJson } from '../api/exactJson';
import { CodeBlock } from '../feedback/CodeBlock';
import type { Answer, Call, Content, Description, Parameter } from './openapi';
import { exampleOfContent, limitTexts, typeText } from './schema';
import { SchemaView } from './SchemaView';
import { TryIt } from './TryIt';

interface Props {
  call: Call;
  description: Description;
}

export function CallSection({ call, description }: Props) {
  const linked = window.location.hash === `#${call.id}`;
  const [open, setOpen] = useState(linked);
  const section = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (linked) section.current?.scrollIntoView();
  }, [linked]);
  const toggle = (expanded: boolean) => {
    setOpen(expanded);
    if (expanded) window.history.replaceState(window.history.state, '', `#${call.id}`);
  };
  return (
    <div ref={section} id={call.id} className="call">
      <ExpandableSection
        variant="container"
        headingTagOverride="h3"
        expanded={open}
        onChange={({ detail }) => toggle(detail.expanded)}
        headerText={
          <>
            <span className="call-method">{call.method}</span> <span className="call-path">{call.path}</span>
          </>
        }
        headerDescription={call.operation.summary ?? ''}
      >
        {open && <CallView call={call} description={description} />}
      </ExpandableSection>
    </div>
  );
}

function CallView({ call, description }: Props) {
  const { operation } = call;
  return (
    <SpaceBetween size="m">
      {operation.description && <p className="prose">{operation.description}</p>}
      <Tabs
        ariaLabel={`${call.method} ${call.path}`}
        tabs={[
          {
            id: 'request',
            label: 'Request',
            content: (
              <SpaceBetween size="m">
                <Parameters parameters={operation.parameters ?? []} description={description} />
                {operation.requestBody && (
                  <ContentView content={operation.requestBody.content} description={description} />
                )}
              </SpaceBetween>
            ),
          },
          {
            id: 'answers',
            label: 'Answers',
            content: Object.entries(operation.responses).map(([status, answer]) => (
              <AnswerView key={status} status={status} answer={answer} description={description} />
            )),
          },
          { id: 'try', label: 'Try it', content: <TryIt call={call} description={description} /> },
        ]}
      />
    </SpaceBetween>
  );
}

function Parameters({ parameters, description }: { parameters: Parameter[]; description: Description }) {
  if (parameters.length === 0) return <p>No parameters.</p>;
  return (
    <div>
      <Box variant="h4">Parameters</Box>
      <ul className="schema">
        {parameters.map(({ name, in: place, required, schema = {}, description: text }) => (
          <li key={`${place} ${name}`}>
            <code>{name}</code> <span className="schema-type">{typeText(schema, description)}</span> in the {place}
            {required && ', required'}
            {limitTexts(schema).map((limit) => `, ${limit}`)}
            {text && <div>{text}</div>}
          </li>
        ))}
      </ul>
    </div>
  );
}

function AnswerView({ status, answer, description }: { status: string; answer: Answer; description: Description }) {
  return (
    <ExpandableSection
      variant="inline"
      headerText={`${status} ${answer.description ?? ''}`}
      defaultExpanded={status.startsWith('2')}
    >
      {answer.content ? <ContentView content={answer.content} description={description} /> : <p>No body.</p>}
    </ExpandableSection>
  );
}

function ContentView({ content, description }: { content: Content; description: Description }) {
  return Object.entries(content).map(([type, media]) => {
    const shown = exampleOfContent(media, description);
    return (
      <div key={type}>
        <Box variant="h4">
          Body, <code>{type}</code>
        </Box>
        {media.schema && <SchemaView schema={media.schema} description={description} />}
        {shown !== undefined && (
          <>
            <Box variant="h5">Example</Box>
            <CodeBlock code={typeof shown === 'string' ? shown : formatExactJson(shown)} what="the example" />
          </>
        )}
      </div>
    );
  });
}
