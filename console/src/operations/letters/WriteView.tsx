// SPDX-License-Identifier: Apache-2.0
// A write as it was sent: its path, and its body byte for byte.
import Toggle from '@cloudscape-design/components/toggle';
import { useState } from 'react';

import { CopyButton } from '../../feedback/CopyButton';
import { formatExactJson } from '../../api/exactJson';
import { indentJson } from './indentJson';
import type { Letter } from './letters';

/** The rest of a longer body is not shown, but it is copied. */
const MAX_SHOWN_CHARACTERS = 100_000;

export function WriteView({ write }: { write: Letter['write'] }) {
  const [isIndented, setIsIndented] = useState(true);
  const text = bodyText(write);
  const shown = isIndented && write.base64 === null ? indentJson(text) : text;
  return (
    <>
      <div className="write-path">
        <code>POST {write.path}</code>
        {write.workspace && <> in the workspace {write.workspace}</>}
      </div>
      <div className="code-block">
        {/* A scrollable region has to be reached by keyboard. */}
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <pre tabIndex={0} role="region" aria-label="the body of the write" className={isIndented ? undefined : 'exact'}>
          {shown.slice(0, MAX_SHOWN_CHARACTERS)}
        </pre>
        <CopyButton text={text} label="the body, byte for byte" />
      </div>
      {shown.length > MAX_SHOWN_CHARACTERS && <div>The rest is not shown. A copy has all of it.</div>}
      {write.base64 === null && (
        <Toggle checked={isIndented} onChange={({ detail }) => setIsIndented(detail.checked)}>
          Indented. What is copied and replayed is as it was sent.
        </Toggle>
      )}
    </>
  );
}

/** Returns the exact text of a body. A bridge of an older version states the parsed body alone. */
export function bodyText({ body_text: text, base64, body }: Letter['write']): string {
  return text ?? base64 ?? formatExactJson(body, 0);
}
