// SPDX-License-Identifier: Apache-2.0
import { CopyButton } from '../feedback/CopyButton';

const SHOWN_LENGTH = 12;

/** Shows the beginning of an id, and copies the whole. */
export function ShortId({ id, what }: { id: string; what: string }) {
  return (
    <>
      <span className="id" title={id}>
        {id.length > SHOWN_LENGTH ? `${id.slice(0, SHOWN_LENGTH)}…` : id}
      </span>{' '}
      <CopyButton text={id} what={`${what} ${id}`} />
    </>
  );
}
