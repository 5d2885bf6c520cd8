// SPDX-License-Identifier: Apache-2.0
// What each client uses, by hour or by day.
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import Select, { type SelectProps } from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';

import { CsvButton } from '../csv/CsvButton';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { LiveQueryView } from '../states/LiveQueryView';
import { PageHead } from '../states/PageHead';
import { UsageBars } from './UsageBars';
import { ModelTable } from './ModelTable';
import { type Measure, MEASURES, PERIODS, summedBars, usageCsvPath, type UsagePage as Page, usagePath } from './usage';
import './usage.css';
import { MEASURE_LABELS } from './usageText';
import { UsageTable } from './UsageTable';

const route = getRouteApi('/shell/ops/usage');
const MEASURE_OPTIONS: SelectProps.Option[] = MEASURES.map((value) => ({ value, label: MEASURE_LABELS[value] }));

export default function UsagePage() {
  const navigate = useNavigate();
  const search = route.useSearch();
  const { client, by = 'hour', measure = 'requests' } = search;
  const query = useLiveQuery<Page>({ path: usagePath(by, client), pollMs: POLL_MS.slow, keepsRows: true });
  const show = (changes: typeof search) => void navigate({ to: '/ops/usage', search: { ...search, ...changes } });
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Usage"
        description={
          client === undefined ? (
            `What each client used in ${PERIODS[by].words}.`
          ) : (
            <>
              What {client} used in {PERIODS[by].words}.{' '}
              <Link to="/ops/usage" search={{ by, measure }}>
                All clients
              </Link>
            </>
          )
        }
        actions={<CsvButton path={usageCsvPath(by, client)} fileName="usage.csv" />}
      />
      <div className="usage-choices">
        <SegmentedControl
          label="Steps"
          selectedId={by}
          options={[
            { id: 'hour', text: '24 hours, by hour' },
            { id: 'day', text: '30 days, by day' },
          ]}
          onChange={({ detail }) => show({ by: detail.selectedId === 'day' ? 'day' : 'hour' })}
        />
        <Select
          ariaLabel="What is counted"
          options={MEASURE_OPTIONS}
          selectedOption={MEASURE_OPTIONS.find(({ value }) => value === measure) ?? null}
          onChange={({ detail }) => show({ measure: detail.selectedOption.value as Measure })}
        />
      </div>
      <LiveQueryView query={query} label="the usage" action="GetUsage">
        {(page) => (
          <SpaceBetween size="m">
            <UsageBars
              measure={measure}
              subject={client ?? 'all clients'}
              bars={summedBars(page.clients, measure, page, new Date(query.dataUpdatedAt))}
            />
            <UsageTable page={page} measure={measure} now={new Date(query.dataUpdatedAt)} by={by} />
            {client !== undefined && <ModelTable level="h2" models={page.clients[0]?.total.models ?? {}} />}
          </SpaceBetween>
        )}
      </LiveQueryView>
    </SpaceBetween>
  );
}
