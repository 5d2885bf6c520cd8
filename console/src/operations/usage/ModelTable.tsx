// SPDX-License-Identifier: Apache-2.0
// Calls and tokens by endpoint of MLflow's AI Gateway.
import Header from '@cloudscape-design/components/header';
import Table from '@cloudscape-design/components/table';

import type { Counts } from './usage';

type Row = [endpoint: string, counts: Counts['models'][string]];

interface Props {
  models: Counts['models'];
  /** The level of its heading, below that of what it is part of. */
  level: 'h2' | 'h3';
}

export function ModelTable({ models, level }: Props) {
  const rows: Row[] = Object.entries(models);
  if (rows.length === 0) return null;
  return (
    <Table
      variant="embedded"
      contentDensity="compact"
      header={<Header variant={level}>AI Gateway endpoints</Header>}
      items={rows}
      trackBy={([endpoint]) => endpoint}
      ariaLabels={{ tableLabel: 'AI Gateway endpoints' }}
      columnDefinitions={COLUMNS}
    />
  );
}

const COLUMNS = [
  { id: 'endpoint', header: 'Endpoint', isRowHeader: true, cell: ([endpoint]: Row) => endpoint },
  { id: 'requests', header: 'Requests', cell: ([, { requests }]: Row) => requests.toLocaleString('en') },
  { id: 'prompt', header: 'Prompt tokens', cell: ([, { prompt_tokens: tokens }]: Row) => tokens.toLocaleString('en') },
  {
    id: 'completion',
    header: 'Completion tokens',
    cell: ([, { completion_tokens: tokens }]: Row) => tokens.toLocaleString('en'),
  },
];
