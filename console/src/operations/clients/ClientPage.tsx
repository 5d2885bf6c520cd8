// SPDX-License-Identifier: Apache-2.0
// One client: its permissions, limits, keys, usage and dead letters.
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi, Link } from '@tanstack/react-router';

import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { LiveQueryView } from '../states/LiveQueryView';
import { PageHead } from '../states/PageHead';
import { ClientUsage } from '../usage/ClientUsage';
import { sizeText } from '../figures';
import { ClientKeys } from './ClientKeys';
import { type ClientDocument, clientPath } from './clients';
import './clients.css';
import { DeleteClient } from './DeleteClient';
import { levelTexts } from './levels';
import { PermissionEditor } from './PermissionEditor';
import { PermissionTester } from './PermissionTester';

const route = getRouteApi('/shell/ops/clients/$name');

export default function ClientPage() {
  const { name } = route.useParams();
  const query = useLiveQuery<ClientDocument>({ path: clientPath(name), pollMs: POLL_MS.slow });
  return (
    <SpaceBetween key={name} size="l">
      <PageHead
        title={`Client ${name}`}
        description={<Link to="/ops/clients">All clients</Link>}
        actions={query.data && <DeleteClient client={query.data} />}
      />
      <LiveQueryView
        query={query}
        label="the client"
        action="GetClient"
        missing={<p>There is no client {name}. It was deleted, or its name is misspelt.</p>}
      >
        {(client) => (
          <SpaceBetween size="l">
            <ClientSummary client={client} />
            <PermissionEditor client={client} />
            <ClientKeys client={name} />
            <PermissionTester client={name} />
            <ClientUsage client={name} />
          </SpaceBetween>
        )}
      </LiveQueryView>
    </SpaceBetween>
  );
}

function ClientSummary({ client }: { client: ClientDocument }) {
  const { name, kind, last_seen_at: seen, pending_bytes: pending, pending_limit: most } = client;
  const { dead_letters: dead, levels } = client;
  return (
    <KeyValuePairs
      columns={4}
      items={[
        { label: 'Kind', value: kind },
        { label: 'Last seen', value: <Moment at={seen} placeholder="not known" /> },
        {
          label: 'Waiting writes',
          value: (
            <Link to="/ops/runs" search={{ client: name }}>
              {sizeText(pending)}
              {most === null ? '' : ` of ${sizeText(most)}`}
            </Link>
          ),
        },
        {
          label: 'Dead letters',
          value: (
            <Link to="/ops/dead-letters" search={{ client: name }}>
              {dead.toLocaleString('en')}
            </Link>
          ),
        },
        { label: 'Left of its rates', value: levels === null ? 'no limit' : levelTexts(levels).join(', ') },
      ]}
    />
  );
}
