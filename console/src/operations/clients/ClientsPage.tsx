// SPDX-License-Identifier: Apache-2.0
// The page of all clients: their permissions, remaining rates, and when each was seen last.
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { getRouteApi, useNavigate } from '@tanstack/react-router';

import { ActionButton } from '../actions/ActionButton';
import { CsvButton } from '../csv/CsvButton';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { LiveQueryView } from '../states/LiveQueryView';
import { Empty } from '../states/Empty';
import { PageHead } from '../states/PageHead';
import { RowLink } from '../states/RowLink';
import { sizeText } from '../figures';
import { type ClientDocument, type ClientPage, clientsPath } from './clients';
import './clients.css';
import { lowestLevel } from './levels';
import { NewClientDialog } from './NewClientDialog';

const route = getRouteApi('/shell/ops/clients');

export default function ClientsPage() {
  const navigate = useNavigate();
  const search = route.useSearch();
  const { find = '' } = search;
  const query = useLiveQuery<ClientPage>({ path: clientsPath, pollMs: POLL_MS.slow });
  const found = (query.data?.clients ?? []).filter(({ name }) => name.toLowerCase().includes(find.toLowerCase()));
  const show = (changes: typeof search) => void navigate({ to: '/ops/clients', search: changes, replace: true });
  const count = query.data && `(${found.length}${query.data.next === null ? '' : '+'})`;
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Clients"
        counter={count}
        description="Programs and people that use the bridge, what they may do, and their limits."
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <CsvButton path="/v1/clients" fileName="clients.csv" />
            <ActionButton action="ManageClients" variant="primary" onClick={() => show({ ...search, new: 1 })}>
              New client
            </ActionButton>
          </SpaceBetween>
        }
      />
      <div className="client-find" data-search="">
        <Input
          type="search"
          ariaLabel="Find a client by its name"
          placeholder="Find by name"
          value={find}
          onChange={({ detail }) => show(detail.value ? { find: detail.value } : {})}
        />
      </div>
      <LiveQueryView query={query} label="the clients" action="GetClient">
        {() => (
          <Table
            variant="container"
            wrapLines
            items={found}
            trackBy="name"
            ariaLabels={{ tableLabel: 'Clients' }}
            columnDefinitions={COLUMNS}
            empty={
              <Empty filter={find ? `names with “${find}”` : null} onClear={() => show({})}>
                No clients. A new one gets its keys on its own page.
              </Empty>
            }
          />
        )}
      </LiveQueryView>
      {search.new === 1 && <NewClientDialog onClose={() => show(find ? { find } : {})} />}
    </SpaceBetween>
  );
}

const COLUMNS = [
  {
    id: 'name',
    header: 'Name',
    minWidth: 120,
    isRowHeader: true,
    cell: ({ name }: ClientDocument) => <ClientLink name={name} />,
  },
  { id: 'kind', header: 'Kind', cell: ({ kind }: ClientDocument) => kind },
  { id: 'may', header: 'May', minWidth: 140, cell: permissionText },
  {
    id: 'experiments',
    header: 'Experiments',
    cell: ({ experiments }: ClientDocument) => (experiments === null ? 'all' : experiments.join(', ') || 'none'),
  },
  { id: 'keys', header: 'Keys', cell: ({ keys }: ClientDocument) => keys.toLocaleString('en') },
  {
    id: 'levels',
    header: 'Rates left',
    minWidth: 100,
    cell: ({ levels }: ClientDocument) => <LowestLevel levels={levels} />,
  },
  { id: 'pending', header: 'Waiting', cell: ({ pending_bytes: pending }: ClientDocument) => sizeText(pending) },
  { id: 'dead', header: 'Dead letters', cell: ({ dead_letters: dead }: ClientDocument) => dead.toLocaleString('en') },
  {
    id: 'seen',
    header: 'Last seen',
    minWidth: 120,
    cell: ({ last_seen_at: at }: ClientDocument) => <Moment at={at} placeholder="not known" />,
  },
];

function ClientLink({ name }: { name: string }) {
  const navigate = useNavigate();
  return (
    <RowLink
      href={`/app/ops/clients/${encodeURIComponent(name)}`}
      onFollow={() => void navigate({ to: '/ops/clients/$name', params: { name } })}
    >
      {name}
    </RowLink>
  );
}

function permissionText({ scopes, allow, deny }: ClientDocument): string {
  const scope = scopes.includes('admin') ? 'admin' : scopes.join(', ') || 'nothing';
  return [scope, ...allow.map((action) => `+${action}`), ...deny.map((action) => `−${action}`)].join(' ');
}

/** A lower level is highlighted. */
const LOW_LEVEL = 0.2;

/** Shows the level of the rate that has the least left. At 0, requests are rejected. */
function LowestLevel({ levels }: { levels: ClientDocument['levels'] }) {
  const level = lowestLevel(levels);
  if (level === null) return <>no limit</>;
  const percent = Math.round(level * 100);
  return (
    <span className={level < LOW_LEVEL ? 'level-low' : undefined}>
      <meter min={0} max={1} low={LOW_LEVEL} value={level} aria-label={`${percent} % left`} /> {percent} %
    </span>
  );
}
