// SPDX-License-Identifier: Apache-2.0
// A text to read or copy, such as commands or a JSON document.
import { CopyButton } from './CopyButton';

interface Props {
  code: string;
  /** Names the text for screen readers: `the curl command`. */
  label: string;
}

export function CodeBlock({ code, label }: Props) {
  return (
    <div className="code-block">
      {/* A scrollable region has to be reached by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0} role="region" aria-label={label}>
        {code}
      </pre>
      <CopyButton text={code} label={label} />
    </div>
  );
}
