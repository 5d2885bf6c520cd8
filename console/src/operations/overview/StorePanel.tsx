// SPDX-License-Identifier: Apache-2.0
// The store: how full it is, what it survives, and its faults.
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { shareText, sizeText } from '../figures';
import { StatusMark } from '../states/StatusMark';
import type { Overview } from './overview';

/** A store that is fuller than this is marked as nearly full. */
const HIGH_SHARE = 0.8;

export function StorePanel({ store, backlog }: Pick<Overview, 'store' | 'backlog'>) {
  const { used, cap, durability, faults } = store;
  const usageSentence = `Waiting writes take ${sizeText(backlog.pending_bytes)}, dead letters ${sizeText(backlog.dead_bytes)}.`;
  return (
    <Container header={<Header variant="h2">Store</Header>}>
      <SpaceBetween size="xs">
        {cap === null ? (
          <div>{sizeText(used)} used, without a limit.</div>
        ) : (
          <>
            <meter
              className="meter"
              min={0}
              max={cap}
              high={HIGH_SHARE * cap}
              value={used}
              aria-label="Share of the store in use"
            />
            <div>
              {shareText(used, cap)}: {sizeText(used)} of {sizeText(cap)}.
            </div>
          </>
        )}
        <div>{usageSentence}</div>
        <div>
          Durability: <code>{durability}</code>
        </div>
        {faults.map((fault) => (
          <StatusMark key={fault} type="error">
            {fault}
          </StatusMark>
        ))}
      </SpaceBetween>
    </Container>
  );
}
