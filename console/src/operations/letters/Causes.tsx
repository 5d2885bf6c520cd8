// SPDX-License-Identifier: Apache-2.0
// The letters by cause. Each cause leads to its letters.
import Badge from '@cloudscape-design/components/badge';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import { Link } from '@tanstack/react-router';

import { Moment } from '../moments/Moment';
import type { LetterFilter } from './letterFilter';
import type { Cause, LetterStatistics } from './letters';
import { addressOf, type Listed } from './search';

interface Props {
  statistics: LetterStatistics;
  listed: Listed;
}

export function Causes({ statistics: { groups, count, sampled }, listed }: Props) {
  if (count === 0) return null;
  return (
    <div className="letter-causes">
      <ExpandableSection
        defaultExpanded
        variant="container"
        headerText="Causes"
        headerCounter={`(${groups.length.toLocaleString('en')})`}
        {...(sampled && { headerDescription: 'Of the latest 5,000 letters. The count above is of all.' })}
      >
        <ul className="causes">
          {groups.map((cause) => (
            <CauseRow key={causeKey(cause)} cause={cause} listed={listed} isAlone={isAlone(cause, groups)} />
          ))}
        </ul>
      </ExpandableSection>
    </div>
  );
}

function CauseRow({ cause, listed, isAlone: alone }: { cause: Cause; listed: Listed; isAlone: boolean }) {
  const words = alone ? 'these' : 'these and others of the kind';
  return (
    <li>
      <span className="cause-count">{cause.count.toLocaleString('en')}</span>
      <span className="cause-text">
        <Badge color={cause.reason === 'refused' ? 'red' : 'grey'}>{cause.reason}</Badge> {cause.op}{' '}
        {cause.error_code && <code>{cause.error_code}</code>} {cause.message}
      </span>
      <span className="cause-times">
        last <Moment at={cause.last} />
      </span>
      <span className="cause-links">
        <Link
          to="/ops/dead-letters"
          search={addressOf(filterOfCause(cause, listed.filter), listed)}
          aria-label={`${words}: ${cause.count} letters, ${cause.reason} ${cause.op}`}
        >
          {words}
        </Link>
        <Link
          to="/ops/dead-letters/$letterId"
          params={{ letterId: cause.sample }}
          search={(current) => current}
          aria-label={`one of them: ${cause.reason} ${cause.op}`}
        >
          one of them
        </Link>
      </span>
    </li>
  );
}

const causeKey = ({ reason, op, error_code: code, message }: Cause): string => [reason, op, code, message].join(' ');

/** Returns whether the filter of a cause selects the letters of no other one: the message is not part of a filter. */
export function isAlone(cause: Cause, causes: Cause[]): boolean {
  const alike = (other: Cause) =>
    other.reason === cause.reason &&
    other.op === cause.op &&
    (cause.error_code === null || other.error_code === cause.error_code);
  return causes.filter(alike).length === 1;
}

/** Returns the filter that shows the letters of a cause, of those that are shown already. */
export function filterOfCause({ reason, op, error_code: code }: Cause, filter: LetterFilter): LetterFilter {
  return { ...filter, reason, op, ...(code !== null && { error_code: code }) };
}
