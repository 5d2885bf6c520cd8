// SPDX-License-Identifier: Apache-2.0
// How the bridge is doing, in one glance: the state and why, figures, charts, and what waits longest.
import SpaceBetween from '@cloudscape-design/components/space-between';

import { ProblemError } from '../../api/problem';
import { usePageTitle } from '../../shell/usePageTitle';
import { useIsAllowed } from '../../session/SessionContext';
import { POLL_MS } from '../live/useLiveQuery';
import { LiveQueryView } from '../states/LiveQueryView';
import { Charts } from './Charts';
import { DrainsPanel } from './DrainsPanel';
import { Figures } from './Figures';
import { LongestWaits } from './LongestWaits';
import { type Overview, useOverview } from './overview';
import { Status } from './Status';
import { StoreUnavailable } from './StoreUnavailable';
import { StorePanel } from './StorePanel';
import './overview.css';
import { statusWord } from './statusSentence';

export default function OverviewPage() {
  const query = useOverview(POLL_MS.overview);
  usePageTitle(query.data ? `${statusWord(query.data.status)} · Overview` : 'Overview');
  if (query.error instanceof ProblemError && query.error.status === 503)
    return <StoreUnavailable error={query.error} />;
  return (
    <>
      {!query.data && <h1 className="visually-hidden">Overview</h1>}
      <LiveQueryView query={query} label="the overview" action="GetBacklog">
        {(overview) => <Content overview={overview} />}
      </LiveQueryView>
    </>
  );
}

function Content({ overview }: { overview: Overview }) {
  const seesSeries = useIsAllowed('GetMetrics');
  return (
    <SpaceBetween size="m">
      <Status overview={overview} />
      <Figures overview={overview} />
      {seesSeries ? <Charts /> : <div className="note">The charts need the action GetMetrics.</div>}
      {overview.backlog.lanes > 0 && <LongestWaits laneCount={overview.backlog.lanes} />}
      <div className="overview-end">
        <DrainsPanel drains={overview.drains} />
        <StorePanel store={overview.store} backlog={overview.backlog} />
      </div>
    </SpaceBetween>
  );
}
