// SPDX-License-Identifier: Apache-2.0
// The keys of a client: make, rotate and revoke them.
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useState } from 'react';

import type { Key } from '../../keys/keys';
import { ActionButton } from '../actions/ActionButton';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { LiveQueryView } from '../states/LiveQueryView';
import { MakeKey, RevokeKey, RotateKey } from './KeyChanges';
import { keysPath } from './keys';

const ACTION = 'ManageKeys';

type Opened = { does: 'make' } | { does: 'rotate' | 'revoke'; keyId: string };

export function ClientKeys({ client }: { client: string }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const query = useLiveQuery<{ keys: Key[] }>({ path: keysPath(client), pollMs: POLL_MS.slow });
  const close = () => setOpened(null);
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
                  <ActionButton action={ACTION} onClick={() => setOpened({ does: 'make' })}>
                    New key
                  </ActionButton>
                }
              >
                Keys
              </Header>
            }
            columnDefinitions={columns((does, keyId) => setOpened({ does, keyId }))}
            empty="No key. Programs of this client have none, or authenticate by tokens."
          />
        )}
      </LiveQueryView>
      {opened?.does === 'make' && <MakeKey client={client} onClose={close} />}
      {opened?.does === 'rotate' && <RotateKey client={client} keyId={opened.keyId} onClose={close} />}
      {opened?.does === 'revoke' && <RevokeKey client={client} keyId={opened.keyId} onClose={close} />}
    </>
  );
}

const columns = (open: (does: 'rotate' | 'revoke', keyId: string) => void) => [
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
        <ActionButton action={ACTION} ariaLabel={`Rotate the key ${id}`} onClick={() => open('rotate', id)}>
          Rotate
        </ActionButton>
        <ActionButton action={ACTION} ariaLabel={`Revoke the key ${id}`} onClick={() => open('revoke', id)}>
          Revoke
        </ActionButton>
      </SpaceBetween>
    ),
  },
];
