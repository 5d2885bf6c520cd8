// SPDX-License-Identifier: Apache-2.0
// The head of an open letter: its title, and buttons to the letters before and after it and back to the list.
import Button from '@cloudscape-design/components/button';
import { useNavigate } from '@tanstack/react-router';

import { CopyButton } from '../../feedback/CopyButton';
import { usePageTitle } from '../../shell/usePageTitle';
import type { Letter } from './letters';
import { letterTitle } from './letterText';
import { useNeighbours } from './neighbours';

interface Props {
  letterId: string;
  letter: Letter | undefined;
  onClose: () => void;
}

export function LetterHead({ letterId, letter, onClose }: Props) {
  const navigate = useNavigate();
  const { before, after } = useNeighbours(letterId);
  usePageTitle(`Dead letter ${letterId}`);
  const openLetter = (id: string | null) => {
    if (id === null) return;
    void navigate({ to: '/ops/dead-letters/$letterId', params: { letterId: id }, search: (current) => current });
  };
  return (
    <div className="letter-head">
      <div className="letter-title">
        {/* A narrow window does not show the head of the list, so the page needs a heading here. */}
        <h1 className="visually-hidden letter-page-name">Dead letters</h1>
        <h2>{letter ? letterTitle(letter) : 'Dead letter'}</h2>
        <span className="id">{letterId}</span> <CopyButton text={letterId} label="the letter's id" />
      </div>
      <div className="letter-steps" data-letter-steps="">
        <Button
          iconName="angle-up"
          variant="icon"
          ariaLabel="Previous letter"
          disabled={!before}
          onClick={() => openLetter(before)}
        />
        <Button
          iconName="angle-down"
          variant="icon"
          ariaLabel="Next letter"
          disabled={!after}
          onClick={() => openLetter(after)}
        />
        <Button iconName="close" variant="icon" ariaLabel="Close the letter" onClick={onClose} />
      </div>
    </div>
  );
}
