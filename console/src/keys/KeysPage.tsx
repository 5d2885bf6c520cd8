// SPDX-License-Identifier: Apache-2.0
// My keys: which there are, and how each kind is used.
import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import { momentText } from '../api/time';
import { CodeBlock } from '../feedback/CodeBlock';
import { QueryView } from '../feedback/QueryView';
import { ShortId } from '../jobs/ShortId';
import { useSession } from '../session/SessionContext';
import { usePageTitle } from '../shell/usePageTitle';
import { type Key, ownKeysQuery } from './keys';
import { bearerUses, type KeyUse, signatureUses } from './keyUse';

export default function KeysPage() {
  usePageTitle('My keys');
  const { client, via } = useSession();
  const query = useQuery(ownKeysQuery);
  return (
    <SpaceBetween size="l">
      <div>
        <Box variant="h1">My keys</Box>
        <Box color="text-body-secondary">
          Programs identify themselves to the bridge with a key. Its secret was shown once, when it was made.
        </Box>
      </div>
      {via === 'none' && <p>No sign-in is set up, so programs on this machine need no key.</p>}
      <QueryView query={query} label="your keys">
        {({ keys }) => (
          <Table
            header={<Header counter={`(${keys.length})`}>Keys of {client}</Header>}
            items={keys}
            trackBy="key_id"
            columnDefinitions={COLUMNS}
            empty={
              <>
                No key. Ask an operator to run: <code>mlflow-bridge keys create {client}</code>
              </>
            }
          />
        )}
      </QueryView>
      <Box variant="h2">How to use a key</Box>
      {[...bearerUses(window.location.origin), ...signatureUses(window.location.origin)].map((use) => (
        <KeyUsePanel key={use.title} use={use} />
      ))}
    </SpaceBetween>
  );
}

function KeyUsePanel({ use }: { use: KeyUse }) {
  return (
    <Container
      header={
        <Header variant="h3" description={use.description}>
          {use.title}
        </Header>
      }
    >
      <CodeBlock code={use.code} label={`the lines for ${use.title}`} />
    </Container>
  );
}

const KINDS: Record<Key['kind'], string> = {
  bearer: "Bearer: MLflow's client, curl",
  sigv4: "AWS signatures: AWS's plugin",
};

const COLUMNS = [
  { id: 'key', header: 'Key', isRowHeader: true, cell: (key: Key) => <ShortId id={key.key_id} label="the key's id" /> },
  { id: 'kind', header: 'For', cell: (key: Key) => KINDS[key.kind] ?? key.kind },
  { id: 'created', header: 'Created', cell: (key: Key) => momentText(key.created_at) },
  { id: 'expires', header: 'Expires', cell: (key: Key) => (key.expires_at ? momentText(key.expires_at) : 'Never') },
  {
    id: 'used',
    header: 'Last used',
    cell: (key: Key) => (key.last_used_at ? momentText(key.last_used_at) : 'Not known to have been used'),
  },
];
