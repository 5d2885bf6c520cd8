// SPDX-License-Identifier: Apache-2.0
// The page of the MLflow servers to which writes are delivered: whether calls go through, and which failed.
import SpaceBetween from '@cloudscape-design/components/space-between';
import { getRouteApi } from '@tanstack/react-router';

import { bridgeCommand } from '../commands/curl';
import { EquivalentCommands } from '../commands/EquivalentCommands';
import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { definedFields } from '../search';
import { LiveQueryView } from '../states/LiveQueryView';
import { PageHead } from '../states/PageHead';
import { Failures } from './Failures';
import { type Upstream, UPSTREAMS_PATH } from './upstream';
import { UpstreamPanel } from './UpstreamPanel';
import './upstreams.css';

const route = getRouteApi('/shell/ops/upstreams');

export default function UpstreamsPage() {
  const query = useLiveQuery<{ upstreams: Upstream[] }>({ path: UPSTREAMS_PATH, pollMs: POLL_MS.list });
  const { id, cursor } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <SpaceBetween size="m">
      <PageHead title="Upstreams" description="The MLflow servers that writes are delivered to." />
      <LiveQueryView query={query} label="the upstreams" action="GetUpstream">
        {({ upstreams }) => (
          <SpaceBetween size="m">
            {upstreams.map((upstream) => (
              <SpaceBetween key={upstream.id} size="m">
                <UpstreamPanel upstream={upstream} />
                <Failures
                  upstreamId={upstream.id}
                  cursor={id === upstream.id ? cursor : undefined}
                  onOpenPage={(next) =>
                    void navigate({ search: next ? definedFields({ id: upstream.id, cursor: next }) : {} })
                  }
                />
              </SpaceBetween>
            ))}
          </SpaceBetween>
        )}
      </LiveQueryView>
      <EquivalentCommands command={bridgeCommand('upstream', 'show')} call={{ method: 'GET', path: UPSTREAMS_PATH }} />
    </SpaceBetween>
  );
}
