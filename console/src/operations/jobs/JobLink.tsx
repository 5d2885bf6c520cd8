// SPDX-License-Identifier: Apache-2.0
// A link to the page of a job, with a button that copies the id.
import { useRouter } from '@tanstack/react-router';

import { CopyButton } from '../../feedback/CopyButton';
import { RowLink } from '../states/RowLink';

/** Ids of jobs begin alike, and differ at the end. */
const SHOWN_CHARACTERS = 6;

export function JobLink({ jobId }: { jobId: string }) {
  const router = useRouter();
  const target = { to: '/ops/jobs/$jobId', params: { jobId } } as const;
  const short = jobId.length > 2 * SHOWN_CHARACTERS;
  return (
    <span className="short-id">
      <RowLink href={router.buildLocation(target).href} title={jobId} onFollow={() => void router.navigate(target)}>
        <span className="id">
          {short ? `${jobId.slice(0, SHOWN_CHARACTERS)}…${jobId.slice(-SHOWN_CHARACTERS)}` : jobId}
        </span>
      </RowLink>{' '}
      <CopyButton text={jobId} label={`job ${jobId}`} />
    </span>
  );
}
