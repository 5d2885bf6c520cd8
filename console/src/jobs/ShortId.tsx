// SPDX-License-Identifier: Apache-2.0
import { CopyButton } from '../feedback/CopyButton';

/** Ids of jobs begin alike, and differ at the end. */
const SHOWN_CHARACTERS = 6;

/** Shows the beginning and the end of an id. Its button copies all of the id. */
export function ShortId({ id, label }: { id: string; label: string }) {
  return (
    <span className="short-id">
      <span className="id" title={id}>
        {id.length > 2 * SHOWN_CHARACTERS ? `${id.slice(0, SHOWN_CHARACTERS)}…${id.slice(-SHOWN_CHARACTERS)}` : id}
      </span>{' '}
      <CopyButton text={id} label={`${label} ${id}`} />
    </span>
  );
}
