// SPDX-License-Identifier: Apache-2.0
import Box from '@cloudscape-design/components/box';

import { HOME } from '../session/returnPath';
import { usePageTitle } from './usePageTitle';

export function NotFoundPage() {
  usePageTitle('No such page');
  return (
    <main className="page">
      <Box variant="h1">There is no such page</Box>
      <p>
        The address is misspelt, or the page has moved. <a href={HOME}>Go to the experiments</a>
      </p>
    </main>
  );
}
