// SPDX-License-Identifier: Apache-2.0
// The dead letters.
import { PageHead } from '../states/PageHead';

export default function LettersPage() {
  return <PageHead title="Dead letters" />;
}
