// SPDX-License-Identifier: Apache-2.0
// The servers that writes are delivered to: whether calls go through, and which failed.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi } from '@tanstack/react-router';

import { bridgeCommand } from '../commands/curl';
import { SameCall } from '../commands/SameCall';
import { POLL, useLiveQuery } from '../live/useLiveQuery';
import { given } from '../search';
import { Answered } from '../states/Answered';
import { PageHead } from '../states/PageHead';
import { Failures } from './Failures';
import { type Upstream, UPSTREAMS_PATH } from './upstream';
import { UpstreamPanel } from './UpstreamPanel';
import './upstreams.css';

const route = getRouteApi('/shell/ops/upstreams');

export default function UpstreamsPage() {
  const query = useLiveQuery<{ upstreams: Upstream[] }>({ path: UPSTREAMS_PATH, pollMs: POLL.list });
  const { id, cursor } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <SpaceBetween size="m">
      <PageHead title="Upstreams" description="The MLflow servers that writes are delivered to." />
      <Answered query={query} label="the upstreams" action="GetUpstream">
        {({ upstreams }) => (
          <SpaceBetween size="m">
            {upstreams.map((upstream) => (
              <SpaceBetween key={upstream.id} size="m">
                <UpstreamPanel upstream={upstream} />
                <Failures
                  upstreamId={upstream.id}
                  cursor={id === upstream.id ? cursor : undefined}
                  onGo={(next) => void navigate({ search: next ? given({ id: upstream.id, cursor: next }) : {} })}
                />
              </SpaceBetween>
            ))}
          </SpaceBetween>
        )}
      </Answered>
      <SameCall command={bridgeCommand('upstream', 'show')} call={{ method: 'GET', path: UPSTREAMS_PATH }} />
    </SpaceBetween>
  );
}
