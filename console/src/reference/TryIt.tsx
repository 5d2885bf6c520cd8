// SPDX-License-Identifier: Apache-2.0
// Sends a request of an operation with the visitor's session, and shows the answer.
import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Textarea from '@cloudscape-design/components/textarea';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';

import { formatExactJson, prettyJson } from '../api/exactJson';
import { CodeBlock } from '../feedback/CodeBlock';
import type { Call, OpenApiDocument } from './openapi';
import { buildRequest, curlCommand, missingParameters, type TriedRequest } from './request';
import { exampleOfContent, typeText } from './schema';

interface Props {
  call: Call;
  document: OpenApiDocument;
}

interface TriedAnswer {
  status: string;
  ok: boolean;
  milliseconds: number;
  headers: string;
  body: string;
}

const MAX_SHOWN_CHARACTERS = 200_000;

export function TryIt({ call, document }: Props) {
  const bodyType = bodyTypeOf(call);
  const [values, setValues] = useState<Record<string, string>>({});
  const [body, setBody] = useState(() => bodyExample(call, bodyType, document));
  const [missingText, setMissingText] = useState<string | null>(null);
  const sendMutation = useMutation({ mutationFn: sendRequest });
  const request = buildRequest(call, values, bodyType ? { type: bodyType, text: body } : null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const missing = missingParameters(call, values);
    setMissingText(missing.length > 0 ? `Fill in ${missing.join(', ')}.` : null);
    if (missing.length === 0) sendMutation.mutate(request);
  };
  return (
    <form onSubmit={submit}>
      <SpaceBetween size="m">
        {call.method !== 'GET' && (
          <Alert type="info">The call is carried out with your session: it changes what is stored.</Alert>
        )}
        {(call.operation.parameters ?? []).map(({ name, in: location, required, schema = {} }) => (
          <FormField
            key={`${location} ${name}`}
            label={name}
            description={`${typeText(schema, document)}, in the ${location}${required ? ', required' : ''}`}
          >
            <Input
              value={values[name] ?? ''}
              onChange={({ detail }) => setValues({ ...values, [name]: detail.value })}
            />
          </FormField>
        ))}
        {bodyType && (
          <FormField label="Body" description={bodyType} stretch>
            <Textarea rows={8} spellcheck={false} value={body} onChange={({ detail }) => setBody(detail.value)} />
          </FormField>
        )}
        {missingText && <div role="alert">{missingText}</div>}
        <Button formAction="submit" variant="primary" loading={sendMutation.isPending}>
          Send {call.method}
        </Button>
        <div>
          The same for curl:
          <CodeBlock code={curlCommand(request, window.location.origin)} label="the curl command" />
        </div>
        <div role="status">{sendMutation.error && `No answer came: ${sendMutation.error.message}`}</div>
        {sendMutation.data && <TriedAnswerView answer={sendMutation.data} />}
      </SpaceBetween>
    </form>
  );
}

function TriedAnswerView({ answer }: { answer: TriedAnswer }) {
  return (
    <SpaceBetween size="s">
      <div role="status">
        <StatusIndicator type={answer.ok ? 'success' : 'error'}>
          {answer.status}, {answer.milliseconds} ms
        </StatusIndicator>
      </div>
      <CodeBlock code={answer.headers} label="the header fields of the answer" />
      {answer.body && <CodeBlock code={answer.body} label="the body of the answer" />}
    </SpaceBetween>
  );
}

async function sendRequest({ method, path, headers, body }: TriedRequest): Promise<TriedAnswer> {
  const startedAt = performance.now();
  const response = await fetch(path, { method, headers, body, cache: 'no-cache', credentials: 'same-origin' });
  const text = await response.text();
  return {
    status: `${response.status} ${response.statusText}`.trim(),
    ok: response.ok,
    milliseconds: Math.round(performance.now() - startedAt),
    headers: [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n'),
    body: prettyJson(text).slice(0, MAX_SHOWN_CHARACTERS),
  };
}

/** Returns the media type of the body that is typed here: JSON where the call accepts it; null without a body. */
function bodyTypeOf({ operation }: Call): string | null {
  const types = Object.keys(operation.requestBody?.content ?? {});
  return types.find((type) => type.includes('json')) ?? types[0] ?? null;
}

function bodyExample({ operation }: Call, type: string | null, document: OpenApiDocument): string {
  const media = type ? operation.requestBody?.content[type] : undefined;
  const example = media && exampleOfContent(media, document);
  return typeof example === 'string' ? example : formatExactJson(example);
}
