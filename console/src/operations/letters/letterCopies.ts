// SPDX-License-Identifier: Apache-2.0
// A letter as commands and as JSON. Keys are never in them; bodies are byte for byte what was sent.
import { formatExactJson } from '../../api/exactJson';
import { bridgeCommand, curlOf } from '../commands/curl';
import { type Letter, letterPath } from './letters';

/** A form in which a letter can be copied. */
export interface LetterCopy {
  id: string;
  name: string;
  text: string;
}

export function letterCopies(letter: Letter, origin: string): LetterCopy[] {
  const { letter_id: id, write } = letter;
  // A body that is not JSON has no text, so no command can send it.
  const sendsWriteAgain =
    write.body_text === null
      ? []
      : [
          {
            id: 'write',
            name: 'curl that sends the write again',
            text: curlOf({ method: 'POST', path: write.path, body: write.body_text, ...workspaceOf(letter) }, origin),
          },
        ];
  return [
    { id: 'command', name: 'command that replays it', text: bridgeCommand('dead-letters', 'replay', id) },
    { id: 'show', name: 'command that shows it', text: bridgeCommand('dead-letters', 'show', id) },
    {
      id: 'replay',
      name: 'curl that replays it',
      text: curlOf({ method: 'POST', path: `${letterPath(id)}/replay` }, origin),
    },
    ...sendsWriteAgain,
    { id: 'json', name: 'JSON of the letter', text: formatExactJson(letter) },
  ];
}

/** Returns MLflow's header for the workspace of a call, none without a workspace. */
function workspaceOf({ write: { workspace } }: Letter): { headers?: Record<string, string> } {
  return workspace ? { headers: { 'X-MLFLOW-WORKSPACE': workspace } } : {};
}
