// SPDX-License-Identifier: Apache-2.0
// The causes of the letters that are shown, each with links to its letters.
import Badge from '@cloudscape-design/components/badge';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import { Link } from '@tanstack/react-router';

import { Moment } from '../moments/Moment';
import type { LetterFilter } from './letterFilter';
import type { Cause, LetterStatistics } from './letters';
import { type Listing, searchOf } from './search';

interface Props {
  statistics: LetterStatistics;
  listing: Listing;
}

export function Causes({ statistics: { groups, count, sampled }, listing }: Props) {
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
            <CauseRow key={causeKey(cause)} cause={cause} listing={listing} hasOwnFilter={isOnlyCause(cause, groups)} />
          ))}
        </ul>
      </ExpandableSection>
    </div>
  );
}

function CauseRow({ cause, listing, hasOwnFilter }: { cause: Cause; listing: Listing; hasOwnFilter: boolean }) {
  const linkText = hasOwnFilter ? 'these' : 'these and others of the kind';
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
          search={searchOf(filterOfCause(cause, listing.filter), listing)}
          aria-label={`${linkText}: ${cause.count} letters, ${cause.reason} ${cause.op}`}
        >
          {linkText}
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

/** Returns whether the filter of a cause selects its letters only. A filter has no message, but a cause has. */
export function isOnlyCause(cause: Cause, causes: Cause[]): boolean {
  const isSelected = (other: Cause) =>
    other.reason === cause.reason &&
    other.op === cause.op &&
    (cause.error_code === null || other.error_code === cause.error_code);
  return causes.filter(isSelected).length === 1;
}

/** Returns a filter narrowed to the letters of a cause. */
export function filterOfCause({ reason, op, error_code: code }: Cause, filter: LetterFilter): LetterFilter {
  return { ...filter, reason, op, ...(code !== null && { error_code: code }) };
}
