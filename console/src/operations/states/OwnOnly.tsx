// SPDX-License-Identifier: Apache-2.0
// Says to a visitor who is no operator that a list has only what their own client wrote.
import { useSession } from '../../session/SessionContext';

const OPERATOR_SCOPE = 'admin';

export function OwnOnly({ what }: { what: string }) {
  const { client, scopes } = useSession();
  if (scopes.includes(OPERATOR_SCOPE)) return null;
  return (
    <p className="own-only">
      Only {what} of the client {client} are listed. Those of other clients need the scope {OPERATOR_SCOPE}.
    </p>
  );
}
