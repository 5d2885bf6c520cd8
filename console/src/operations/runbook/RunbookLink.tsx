// SPDX-License-Identifier: Apache-2.0
// A link to a section of the runbook.
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

interface Props {
  /** `#no-worker-delivers` */
  section: string;
  children?: ReactNode;
}

export function RunbookLink({ section, children = 'Runbook' }: Props) {
  return (
    <Link to="/ops/runbook" hash={section.replace(/^.*#/, '')}>
      {children}
    </Link>
  );
}
