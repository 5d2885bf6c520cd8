// SPDX-License-Identifier: Apache-2.0
// Copies a text to the clipboard.
import Button from '@cloudscape-design/components/button';
import { useEffect, useState } from 'react';

import { copyText } from './copyText';

/** How long the result of a copy is shown. */
const RESULT_MS = 3000;

interface Props {
  text: string;
  /** What is copied, for people who do not see where the button stands: `the request id`. */
  label: string;
}

export function CopyButton({ text, label }: Props) {
  const [result, setResult] = useState<'copied' | 'failed' | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setResult(null), RESULT_MS);
    return () => clearTimeout(timer);
  }, [result]);
  const copy = async () => setResult((await copyText(text)) ? 'copied' : 'failed');
  return (
    <span className="copy">
      <Button
        variant="inline-icon"
        iconName={result === 'copied' ? 'check' : 'copy'}
        ariaLabel={`Copy ${label}`}
        onClick={() => void copy()}
      />
      <span role="status" className="copy-result">
        {result === 'copied' && 'Copied'}
        {result === 'failed' && 'Not copied. Select the text and press Ctrl+C.'}
      </span>
    </span>
  );
}
