// SPDX-License-Identifier: Apache-2.0
// The processes that deliver.
import { PageHead } from '../states/PageHead';

export default function WorkersPage() {
  return <PageHead title="Workers" />;
}
