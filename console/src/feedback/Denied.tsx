// SPDX-License-Identifier: Apache-2.0
// Says which action a visitor lacks, and how an operator allows it.
import Alert from '@cloudscape-design/components/alert';

import { useSession } from '../session/SessionContext';
import { allowCommand } from './allowCommand';
import { CopyButton } from './CopyButton';

export function Denied({ action }: { action: string }) {
  const session = useSession();
  const { client } = session;
  const command = allowCommand(session, action);
  return (
    <Alert type="warning" header="You may not see this">
      It needs the action <code>{action}</code>, which <code>{client}</code> lacks. Ask an operator to run:
      <div className="command">
        <code>{command}</code> <CopyButton text={command} label="the command" />
      </div>
    </Alert>
  );
}
