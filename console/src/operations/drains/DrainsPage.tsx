// SPDX-License-Identifier: Apache-2.0
// Orders to replay or discard many dead letters.
import { PageHead } from '../states/PageHead';

export default function DrainsPage() {
  return <PageHead title="Drains" />;
}
