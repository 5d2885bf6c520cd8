// SPDX-License-Identifier: Apache-2.0
// The drains that run now, with their progress.
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import { Link } from '@tanstack/react-router';

import { countText, rateText } from '../figures';
import type { RunningDrain } from './overview';

export function DrainsPanel({ drains }: { drains: RunningDrain[] }) {
  return (
    <Container
      header={
        <Header variant="h2" actions={<Link to="/ops/drains">All drains</Link>}>
          Running drains
        </Header>
      }
    >
      {drains.length === 0 && 'None. Orders to replay or discard many dead letters show their progress here.'}
      {drains.map((drain) => (
        <ProgressBar
          key={drain.drain_id}
          value={drain.total > 0 ? Math.min(100, (100 * drain.done) / drain.total) : 0}
          label={`${drain.action === 'replay' ? 'Replay' : 'Discard'} of ${countText(drain.total)} dead letters`}
          description={`${countText(drain.done)} done${drain.rate === null ? '' : `, ${rateText(drain.rate)}`}${drain.ordered_by === null ? '' : `, ordered by ${drain.ordered_by}`}`}
          additionalInfo={<Link to="/ops/drains">Change the rate or cancel</Link>}
        />
      ))}
    </Container>
  );
}
