// SPDX-License-Identifier: Apache-2.0
// The links to the pages of operations. A count beside a link shows whether there is anything on its page.
import { Link, type LinkProps, useLocation } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';

import { type Overview, useOverview } from '../overview/overview';

interface Page {
  to: NonNullable<LinkProps['to']>;
  name: string;
  count?: (overview: Overview) => number;
  /** Whether the count is highlighted. */
  isAlarming?: (overview: Overview) => boolean;
}

const PAGES: Page[] = [
  { to: '/ops', name: 'Overview' },
  { to: '/ops/runs', name: 'Runs', count: ({ backlog }) => backlog.lanes },
  { to: '/ops/jobs', name: 'Jobs' },
  {
    to: '/ops/dead-letters',
    name: 'Dead letters',
    count: ({ dead_letters }) => dead_letters.count,
    isAlarming: ({ dead_letters }) => dead_letters.count > 0,
  },
  { to: '/ops/drains', name: 'Drains', count: ({ drains }) => drains.length },
  { to: '/ops/clients', name: 'Clients' },
  { to: '/ops/usage', name: 'Usage' },
  { to: '/ops/upstreams', name: 'Upstreams' },
  {
    to: '/ops/workers',
    name: 'Workers',
    count: ({ workers }) => workers.alive,
    isAlarming: ({ workers }) => workers.alive === 0 || workers.versions.length > 1,
  },
  { to: '/ops/audit', name: 'Audit' },
  { to: '/ops/runbook', name: 'Runbook' },
];

export function SideNavigation() {
  const { data } = useOverview();
  const list = useRef<HTMLUListElement>(null);
  const path = useLocation({ select: ({ pathname }) => pathname });
  // On a narrow screen the list is a strip, of which only a part is seen. The counts make it longer when they arrive.
  const hasCounts = data !== undefined;
  useEffect(() => {
    list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [path, hasCounts]);
  return (
    <nav aria-label="Operations" className="side-navigation">
      <ul ref={list}>
        {PAGES.map((page) => (
          <li key={page.to}>
            <Link
              to={page.to}
              activeOptions={{ exact: page.to === '/ops', includeSearch: false }}
              activeProps={{ 'aria-current': 'page' }}
            >
              {page.name}
              {data && page.count && <Count page={page} overview={data} />}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Count({ page, overview }: { page: Page; overview: Overview }) {
  const count = page.count?.(overview) ?? 0;
  return (
    <span className={page.isAlarming?.(overview) ? 'count count-alarm' : 'count'}>
      <span className="visually-hidden">: </span>
      {count.toLocaleString('en')}
    </span>
  );
}
