// SPDX-License-Identifier: Apache-2.0
// A menu that copies a letter as a command or as JSON.
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import { useState } from 'react';

import { copyText } from '../../feedback/copyText';
import { letterCopies } from './letterCopies';
import type { Letter } from './letters';

export function CopyLetter({ letter }: { letter: Letter }) {
  const [result, setResult] = useState('');
  const copies = letterCopies(letter, window.location.origin);
  const copy = async (id: string) => {
    const chosen = copies.find((each) => each.id === id);
    if (!chosen) return;
    setResult((await copyText(chosen.text)) ? `Copied: ${chosen.name}.` : 'Not copied: the browser denies it.');
  };
  return (
    <span className="copy-letter">
      <ButtonDropdown
        expandToViewport
        items={copies.map(({ id, name }) => ({ id, text: name }))}
        onItemClick={({ detail }) => void copy(detail.id)}
      >
        Copy as
      </ButtonDropdown>
      <span role="status" className="copy-result">
        {result}
      </span>
    </span>
  );
}
