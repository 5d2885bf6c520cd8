// SPDX-License-Identifier: Apache-2.0
// The head of a page: its name, its count, what it is about, and what can be done.
import Header from '@cloudscape-design/components/header';
import type { ReactNode } from 'react';

import { usePageTitle } from '../../shell/usePageTitle';

interface Props {
  title: string;
  /** The title of the browser's tab, where it says more. */
  tab?: string;
  /** `(1,204)`; a count that is not exact says so: `(100+)`. */
  counter?: string | undefined;
  description?: ReactNode;
  actions?: ReactNode;
}

export function PageHead({ title, tab = title, counter, description, actions }: Props) {
  usePageTitle(tab);
  return (
    <Header variant="h1" actions={actions} description={description} {...(counter && { counter })}>
      {title}
    </Header>
  );
}
