// SPDX-License-Identifier: Apache-2.0
// Where a sign-in in a second tab ends, `/app/signed-in`. The dialog in the first tab closes by itself.
import Box from '@cloudscape-design/components/box';

import { usePageTitle } from '../shell/usePageTitle';
import { HOME } from './returnPath';

export default function SignedInPage() {
  usePageTitle('Signed in');
  return (
    <main className="sign-in">
      <Box variant="h1">You are signed in</Box>
      <p>
        Close this tab and go on in the other one, or <a href={HOME}>open the portal here</a>.
      </p>
    </main>
  );
}
