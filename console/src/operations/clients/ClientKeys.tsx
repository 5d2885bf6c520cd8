// SPDX-License-Identifier: Apache-2.0
// The keys of a client, with buttons to create, rotate and revoke them.
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useState } from 'react';

import type { Key } from '../../keys/keys';
import { ActionButton } from '../actions/ActionButton';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { LiveQueryView } from '../states/LiveQueryView';
import { CreateKey, RevokeKey, RotateKey } from './KeyChanges';
import { keysPath } from './keys';

const ACTION = 'ManageKeys';

/** The dialog that is open. */
type OpenDialog = { action: 'create' } | { action: 'rotate' | 'revoke'; keyId: string };

export function ClientKeys({ client }: { client: string }) {
  const [dialog, setDialog] = useState<OpenDialog | null>(null);
  const query = useLiveQuery<{ keys: Key[] }>({ path: keysPath(client), pollMs: POLL_MS.slow });
  const close = () => setDialog(null);
  return (
    <>
      <LiveQueryView query={query} label="the keys" action="GetClient">
        {({ keys }) => (
          <Table
            variant="container"
            wrapLines
            items={keys}
            trackBy="key_id"
            ariaLabels={{ tableLabel: `Keys of ${client}` }}
            header={
              <Header
                variant="h2"
                counter={`(${keys.length})`}
                actions={
                  <ActionButton action={ACTION} onClick={() => setDialog({ action: 'create' })}>
                    New key
                  </ActionButton>
                }
              >
                Keys
              </Header>
            }
            columnDefinitions={columns((action, keyId) => setDialog({ action, keyId }))}
            empty="No key. Programs of this client have none, or authenticate by tokens."
          />
        )}
      </LiveQueryView>
      {dialog?.action === 'create' && <CreateKey client={client} onClose={close} />}
      {dialog?.action === 'rotate' && <RotateKey client={client} keyId={dialog.keyId} onClose={close} />}
      {dialog?.action === 'revoke' && <RevokeKey client={client} keyId={dialog.keyId} onClose={close} />}
    </>
  );
}

const columns = (onOpen: (action: 'rotate' | 'revoke', keyId: string) => void) => [
  {
    id: 'key',
    header: 'Id',
    minWidth: 150,
    isRowHeader: true,
    cell: ({ key_id: id }: Key) => <span className="id">{id}</span>,
  },
  {
    id: 'kind',
    header: 'Kind',
    minWidth: 120,
    cell: ({ kind }: Key) => (kind === 'sigv4' ? 'signs requests' : 'bearer token'),
  },
  { id: 'made', header: 'Made', minWidth: 130, cell: ({ created_at: at }: Key) => <Moment at={at} /> },
  {
    id: 'ends',
    header: 'Ends',
    minWidth: 130,
    cell: ({ expires_at: at }: Key) => <Moment at={at} placeholder="never" />,
  },
  {
    id: 'used',
    header: 'Last used',
    minWidth: 130,
    cell: ({ last_used_at: at }: Key) => <Moment at={at} placeholder="not known" />,
  },
  {
    id: 'actions',
    header: 'Actions',
    minWidth: 240,
    cell: ({ key_id: id }: Key) => (
      <SpaceBetween direction="horizontal" size="xs">
        <ActionButton action={ACTION} ariaLabel={`Rotate the key ${id}`} onClick={() => onOpen('rotate', id)}>
          Rotate
        </ActionButton>
        <ActionButton action={ACTION} ariaLabel={`Revoke the key ${id}`} onClick={() => onOpen('revoke', id)}>
          Revoke
        </ActionButton>
      </SpaceBetween>
    ),
  },
];
