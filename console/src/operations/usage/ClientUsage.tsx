// SPDX-License-Identifier: Apache-2.0
// What one client used in the last 24 hours.
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { Link } from '@tanstack/react-router';

import { POLL_MS, useLiveQuery } from '../live/useLiveQuery';
import { LiveQueryView } from '../states/LiveQueryView';
import { UsageBars } from './UsageBars';
import { ModelTable } from './ModelTable';
import { barsOf, type Measure, type UsagePage, usagePath } from './usage';
import './usage.css';
import { MEASURE_LABELS, measureText } from './usageText';

const SHOWN_MEASURES: Measure[] = ['requests', 'writes', 'limited'];

export function ClientUsage({ client }: { client: string }) {
  const query = useLiveQuery<UsagePage>({ path: usagePath('hour', client), pollMs: POLL_MS.slow });
  return (
    <Container
      header={
        <Header variant="h2" description="The last 24 hours, by hour.">
          Use
        </Header>
      }
    >
      <LiveQueryView query={query} label="the use" action="GetUsage">
        {(page) => {
          const [usage] = page.clients;
          if (!usage) return <p>No requests in the last 24 hours.</p>;
          return (
            <SpaceBetween size="m">
              <div className="usage-figures">
                {SHOWN_MEASURES.map((measure) => (
                  <div key={measure}>
                    <div>
                      {MEASURE_LABELS[measure]}: <strong>{measureText(measure, usage.total[measure])}</strong>
                    </div>
                    <UsageBars
                      isSmall
                      subject={client}
                      measure={measure}
                      bars={barsOf(usage.hours, measure, page, new Date(query.dataUpdatedAt))}
                    />
                  </div>
                ))}
              </div>
              <ModelTable level="h3" models={usage.total.models} />
              <Link to="/ops/usage" search={{ client }}>
                All figures of {client}
              </Link>
            </SpaceBetween>
          );
        }}
      </LiveQueryView>
    </Container>
  );
}
