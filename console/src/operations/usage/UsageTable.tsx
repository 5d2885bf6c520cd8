// SPDX-License-Identifier: Apache-2.0
// The usage of each client: its bars, and all its figures.
import Table, { type TableProps } from '@cloudscape-design/components/table';
import { useNavigate } from '@tanstack/react-router';

import { RowLink } from '../states/RowLink';
import { UsageBars } from './UsageBars';
import {
  barsOf,
  type ClientUsageDocument,
  type Measure,
  MEASURES,
  type Period,
  sortedByMeasure,
  type UsagePage,
} from './usage';
import { MEASURE_LABELS, measureText } from './usageText';

interface Props {
  page: UsagePage;
  measure: Measure;
  now: Date;
  by: Period;
}

export function UsageTable({ page, measure, now, by }: Props) {
  return (
    <Table
      variant="container"
      contentDensity="compact"
      items={sortedByMeasure(page.clients, measure)}
      trackBy="client"
      ariaLabels={{ tableLabel: 'Usage by client' }}
      columnDefinitions={columns(page, measure, now, by)}
      stickyColumns={{ first: 1 }}
      empty="No requests in this time."
    />
  );
}

function columns(
  page: UsagePage,
  shownMeasure: Measure,
  now: Date,
  by: Period,
): TableProps.ColumnDefinition<ClientUsageDocument>[] {
  return [
    {
      id: 'client',
      header: 'Client',
      isRowHeader: true,
      cell: ({ client }) => <UsageLink client={client} by={by} measure={shownMeasure} />,
    },
    {
      id: 'bars',
      header: MEASURE_LABELS[shownMeasure],
      cell: ({ client, hours }) => (
        <UsageBars isSmall measure={shownMeasure} subject={client} bars={barsOf(hours, shownMeasure, page, now)} />
      ),
    },
    ...MEASURES.map((measure) => ({
      id: measure,
      header: MEASURE_LABELS[measure],
      cell: ({ total }: ClientUsageDocument) => (
        <span className={measure === shownMeasure ? 'figure figure-shown' : 'figure'}>
          {measureText(measure, total[measure])}
        </span>
      ),
    })),
  ];
}

function UsageLink({ client, by, measure }: { client: string; by: Period; measure: Measure }) {
  const navigate = useNavigate();
  const query = new URLSearchParams({ client, by, measure });
  return (
    <RowLink
      href={`/app/ops/usage?${query}`}
      onFollow={() => void navigate({ to: '/ops/usage', search: { client, by, measure } })}
    >
      {client}
    </RowLink>
  );
}
