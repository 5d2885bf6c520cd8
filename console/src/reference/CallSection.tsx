// SPDX-License-Identifier: Apache-2.0
// One operation: its summary, its request and its answers. They are rendered when the section is opened.
import Box from '@cloudscape-design/components/box';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useEffect, useRef, useState } from 'react';

import { formatExactJson } from '../api/exactJson';
import { CodeBlock } from '../feedback/CodeBlock';
import type { Answer, Call, Content, OpenApiDocument, Parameter } from './openapi';
import { exampleOfContent, limitTexts, typeText } from './schema';
import { SchemaView } from './SchemaView';
import { TryIt } from './TryIt';

interface Props {
  call: Call;
  document: OpenApiDocument;
}

export function CallSection({ call, document }: Props) {
  const isLinked = window.location.hash === `#${call.id}`;
  const [open, setOpen] = useState(isLinked);
  const section = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (isLinked) section.current?.scrollIntoView();
  }, [isLinked]);
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
        {open && <CallView call={call} document={document} />}
      </ExpandableSection>
    </div>
  );
}

function CallView({ call, document }: Props) {
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
                <Parameters parameters={operation.parameters ?? []} document={document} />
                {operation.requestBody && <ContentView content={operation.requestBody.content} document={document} />}
              </SpaceBetween>
            ),
          },
          {
            id: 'answers',
            label: 'Answers',
            content: Object.entries(operation.responses).map(([status, answer]) => (
              <AnswerView key={status} status={status} answer={answer} document={document} />
            )),
          },
          { id: 'try', label: 'Try it', content: <TryIt call={call} document={document} /> },
        ]}
      />
    </SpaceBetween>
  );
}

function Parameters({ parameters, document }: { parameters: Parameter[]; document: OpenApiDocument }) {
  if (parameters.length === 0) return <p>No parameters.</p>;
  return (
    <div>
      <Box variant="h4">Parameters</Box>
      <ul className="schema">
        {parameters.map(({ name, in: location, required, schema = {}, description: text }) => (
          <li key={`${location} ${name}`}>
            <code>{name}</code> <span className="schema-type">{typeText(schema, document)}</span> in the {location}
            {required && ', required'}
            {limitTexts(schema).map((limit) => `, ${limit}`)}
            {text && <div>{text}</div>}
          </li>
        ))}
      </ul>
    </div>
  );
}

function AnswerView({ status, answer, document }: { status: string; answer: Answer; document: OpenApiDocument }) {
  return (
    <ExpandableSection
      variant="inline"
      headerText={`${status} ${answer.description ?? ''}`}
      defaultExpanded={status.startsWith('2')}
    >
      {answer.content ? <ContentView content={answer.content} document={document} /> : <p>No body.</p>}
    </ExpandableSection>
  );
}

function ContentView({ content, document }: { content: Content; document: OpenApiDocument }) {
  return Object.entries(content).map(([type, media]) => {
    const example = exampleOfContent(media, document);
    return (
      <div key={type}>
        <Box variant="h4">
          Body, <code>{type}</code>
        </Box>
        {media.schema && <SchemaView schema={media.schema} document={document} />}
        {example !== undefined && (
          <>
            <Box variant="h5">Example</Box>
            <CodeBlock code={typeof example === 'string' ? example : formatExactJson(example)} label="the example" />
          </>
        )}
      </div>
    );
  });
}
