// SPDX-License-Identifier: Apache-2.0
// Dead letters: what the bridge has given up on, by cause and one by one, with the letter that is open beside them.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi, Outlet, useNavigate, useParams } from '@tanstack/react-router';

import { Denied } from '../../feedback/Denied';
import { useIsAllowed } from '../../session/SessionContext';
import { useMinute } from '../moments/useNow';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { Pager } from '../paging/Pager';
import { LiveQueryView } from '../states/LiveQueryView';
import { OwnOnly } from '../states/OwnOnly';
import { PageHead } from '../states/PageHead';
import { Causes } from './Causes';
import { absoluteFilter } from './letterFilter';
import { type LetterPage, letterPagePath, type LetterStatistics, statisticsPath } from './letters';
import './letters.css';
import { LetterFilterBar } from './LetterFilterBar';
import { LetterList } from './LetterTable';
import { OrderButtons } from './OrderButtons';
import { RunningDrains } from './RunningDrains';
import { listingOf, searchOf } from './search';

const route = getRouteApi('/shell/ops/dead-letters');
const ACTION = 'GetDeadLetter';

export default function LettersPage() {
  return useIsAllowed(ACTION) ? <Letters /> : <NotAllowed />;
}

function NotAllowed() {
  return (
    <SpaceBetween size="m">
      <PageHead title="Dead letters" />
      <Denied action={ACTION} />
    </SpaceBetween>
  );
}

function Letters() {
  const search = route.useSearch();
  const { letterId } = useParams({ strict: false });
  const navigate = useNavigate();
  const listing = listingOf(search);
  const firstPageSearch = searchOf(listing.filter, listing);
  const filter = absoluteFilter(listing.filter, new Date(useMinute()));
  const { order, limit, cursor } = listing;
  const page = useLiveQuery<LetterPage>({
    path: letterPagePath(filter, { order, limit, cursor }),
    pollMs: POLL_MS.list,
    keepsRows: true,
  });
  const statistics = useLiveQuery<LetterStatistics>({
    path: statisticsPath(filter),
    pollMs: POLL_MS.list,
    keepsRows: true,
  });
  // Until the letters of a new filter are counted, no button shows the number of the filter before.
  const count = statistics.isPlaceholderData ? undefined : statistics.data?.count;
  return (
    <div className={letterId ? 'letters letters-open' : 'letters'}>
      <div className="letters-head">
        <PageHead
          title="Dead letters"
          counter={count === undefined ? undefined : `(${count.toLocaleString('en')})`}
          description="Writes that the bridge does not try to deliver any more. A replay puts the stored write at the end of its run's lane."
          actions={<OrderButtons filter={listing.filter} count={count} />}
        />
        <OwnOnly what="letters" />
        <RunningDrains />
        <LetterFilterBar listing={listing} statistics={statistics.data} />
        <LiveQueryView query={statistics} label="the causes" action={ACTION}>
          {(data) => <Causes statistics={data} listing={listing} />}
        </LiveQueryView>
      </div>
      <div className="letters-split">
        <section className="letters-list" aria-label="The letters">
          <LiveQueryView query={page} label="the dead letters" action={ACTION}>
            {(data) => (
              <>
                {/* Keys of siblings must differ: React keeps a dead copy of one of two equal ones. */}
                <LetterList
                  key={`list ${JSON.stringify(search)}`}
                  page={data}
                  listing={listing}
                  openId={letterId}
                  isPlaceholder={page.isPlaceholderData}
                />
                <Pager
                  key={`pager ${JSON.stringify(firstPageSearch)}`}
                  cursor={cursor}
                  next={data.next}
                  following={order === 'newest' ? 'older' : 'newer'}
                  onOpenPage={(to) =>
                    void navigate({
                      to: '/ops/dead-letters',
                      search: { ...firstPageSearch, ...(to !== undefined && { cursor: to }) },
                    })
                  }
                />
              </>
            )}
          </LiveQueryView>
        </section>
        <Outlet />
      </div>
    </div>
  );
}
