// SPDX-License-Identifier: Apache-2.0
// The page of the runs with writes that wait, with a filter and an order.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi } from '@tanstack/react-router';

import { CsvButton } from '../csv/CsvButton';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { Pager } from '../paging/Pager';
import { definedFields } from '../search';
import { LiveQueryView } from '../states/LiveQueryView';
import { Empty } from '../states/Empty';
import { PageHead } from '../states/PageHead';
import { SteadyList } from '../states/SteadyList';
import { type LaneChoice, laneKey, type LanePage, lanesPath, useLanes } from './lanes';
import { LaneFilter } from './LaneFilter';
import { LaneTable } from './LaneTable';
import { laneFilterWords, listCommand } from './laneFilterWords';

const route = getRouteApi('/shell/ops/runs');
const PAGE_SIZE = 100;

export default function RunsPage() {
  const choice = route.useSearch();
  const navigate = route.useNavigate();
  const query = useLanes(choice, PAGE_SIZE);
  const show = (next: LaneChoice) => void navigate({ search: definedFields(next) });
  const { cursor, ...unpagedChoice } = choice;
  return (
    <SpaceBetween size="m">
      <PageHead
        title="Runs"
        description="Runs with writes that are accepted and not in MLflow yet. Each run's writes are delivered in order."
        actions={<CsvButton path={lanesPath(unpagedChoice, null)} fileName="runs.csv" />}
      />
      {/* The key fills the form again when the address has another client. */}
      <LaneFilter key={unpagedChoice.client} choice={unpagedChoice} onChoose={show} />
      <LiveQueryView query={query} label="the runs" action="GetBacklog">
        {(page) => (
          <>
            <Lanes page={page} choice={choice} onClear={() => show({})} />
            <Pager
              cursor={cursor}
              next={page.next}
              onOpenPage={(next) => show(definedFields({ ...unpagedChoice, cursor: next }))}
            />
          </>
        )}
      </LiveQueryView>
      <EquivalentCommands
        command={listCommand(unpagedChoice)}
        call={{ method: 'GET', path: lanesPath(unpagedChoice, PAGE_SIZE) }}
      />
    </SpaceBetween>
  );
}

function Lanes({ page, choice, onClear }: { page: LanePage; choice: LaneChoice; onClear: () => void }) {
  const hasOtherPages = page.next !== null || choice.cursor !== undefined;
  return (
    // The key shows the rows of another filter at once, in their order.
    <SteadyList key={lanesPath(choice, null)} latest={page.lanes} idOf={laneKey} noun="run">
      {(lanes) => (
        <LaneTable
          title="Runs"
          lanes={lanes}
          counter={`(${page.lanes.length}${hasOtherPages ? '+' : ''})`}
          empty={
            <Empty filter={laneFilterWords(choice)} onClear={onClear}>
              No run waits: MLflow has all writes. Runs with writes that wait appear here.
            </Empty>
          }
        />
      )}
    </SteadyList>
  );
}
