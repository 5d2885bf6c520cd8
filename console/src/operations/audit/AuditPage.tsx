// SPDX-License-Identifier: Apache-2.0
// The audit trail: changes by operators, sign-ins, and denied requests.
import PropertyFilter from '@cloudscape-design/components/property-filter';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { ShortId } from '../../jobs/ShortId';
import { CsvButton } from '../csv/CsvButton';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Moment } from '../moments/Moment';
import { useMinute } from '../moments/useNow';
import { Pager } from '../paging/Pager';
import { LiveQueryView } from '../states/LiveQueryView';
import { Empty } from '../states/Empty';
import { PageHead } from '../states/PageHead';
import { auditCsvPath, type AuditEntry, type AuditPage as Page, auditPath, type Decision, subjectOf } from './audit';
import {
  absoluteAuditFilter,
  AUDIT_PROPERTIES,
  auditFilterWords,
  auditOptions,
  auditTokens,
  readAuditTokens,
} from './auditFilter';

const route = getRouteApi('/shell/ops/audit');

export default function AuditPage() {
  const navigate = useNavigate();
  const { cursor, ...filter } = route.useSearch();
  const [problem, setProblem] = useState<string | null>(null);
  const absoluteFilter = absoluteAuditFilter(filter, new Date(useMinute()));
  const query = useLiveQuery<Page>({ path: auditPath(absoluteFilter, cursor), pollMs: POLL_MS.slow, keepsRows: true });
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Audit"
        description="Changes through the bridge's own paths, sign-ins, and what was denied: the latest 10,000, for 90 days. The log has every request."
        actions={<CsvButton path={auditCsvPath(absoluteFilter)} fileName="audit.csv" />}
      />
      <div data-search="">
        <PropertyFilter
          query={auditTokens(filter)}
          filteringProperties={AUDIT_PROPERTIES}
          filteringOptions={auditOptions(query.data?.entries ?? [])}
          filteringAriaLabel="Filter the audit trail"
          filteringPlaceholder="Filter by client, action, decision, request id or time"
          disableFreeTextFiltering
          hideOperations
          expandToViewport
          onChange={({ detail }) => {
            const parsed = readAuditTokens(detail);
            setProblem(parsed.problem);
            void navigate({ to: '/ops/audit', search: parsed.filter });
          }}
        />
        {problem && <div role="alert">{problem}</div>}
      </div>
      <LiveQueryView query={query} label="the audit trail" action="GetAudit">
        {(page) => (
          <Table
            variant="container"
            contentDensity="compact"
            wrapLines
            items={page.entries}
            trackBy="id"
            ariaLabels={{ tableLabel: 'Audit trail' }}
            columnDefinitions={COLUMNS}
            empty={
              <Empty filter={auditFilterWords(filter)} onClear={() => void navigate({ to: '/ops/audit', search: {} })}>
                Nothing yet. Changes, sign-ins and denials appear here.
              </Empty>
            }
            footer={
              <Pager
                key={JSON.stringify(filter)}
                cursor={cursor}
                next={page.next}
                following="older"
                onOpenPage={(to) =>
                  void navigate({ to: '/ops/audit', search: { ...filter, ...(to !== undefined && { cursor: to }) } })
                }
              />
            }
          />
        )}
      </LiveQueryView>
    </SpaceBetween>
  );
}

const DECISION_TYPES: Record<Decision, StatusIndicatorProps.Type> = {
  allowed: 'success',
  denied: 'error',
  unauthenticated: 'warning',
  rate_limited: 'warning',
};

const COLUMNS = [
  { id: 'at', header: 'When', minWidth: 130, isRowHeader: true, cell: ({ at }: AuditEntry) => <Moment at={at} /> },
  {
    id: 'client',
    header: 'Client',
    minWidth: 110,
    cell: ({ client }: AuditEntry) => (
      <Link to="/ops/clients/$name" params={{ name: client }}>
        {client}
      </Link>
    ),
  },
  {
    id: 'from',
    header: 'From',
    minWidth: 130,
    cell: ({ address }: AuditEntry) => <span className="id">{address}</span>,
  },
  { id: 'action', header: 'Action', minWidth: 120, cell: ({ action, method }: AuditEntry) => action ?? method },
  {
    id: 'on',
    header: 'On what',
    minWidth: 160,
    cell: (entry: AuditEntry) => (
      <span title={`${entry.method} ${entry.path}`} className="id">
        {subjectOf(entry)}
      </span>
    ),
  },
  {
    id: 'decision',
    header: 'Decision',
    minWidth: 190,
    cell: ({ decision, status, count = 1 }: AuditEntry) => (
      <>
        <StatusIndicator type={DECISION_TYPES[decision] ?? 'info'}>
          {decision.replace('_', ' ')} {status}
        </StatusIndicator>
        {count > 1 && ` ${count.toLocaleString('en')} times`}
      </>
    ),
  },
  {
    id: 'request',
    header: 'Request',
    minWidth: 130,
    cell: ({ request_id: id }: AuditEntry) => (id === null ? '–' : <ShortId id={id} label="the request id" />),
  },
];
