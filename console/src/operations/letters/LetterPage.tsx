// SPDX-License-Identifier: Apache-2.0
// One dead letter.
import { PageHead } from '../states/PageHead';

export default function LetterPage() {
  return <PageHead title="Dead letter" />;
}
