// SPDX-License-Identifier: Apache-2.0
// The servers that writes are delivered to.
import { PageHead } from '../states/PageHead';

export default function UpstreamsPage() {
  return <PageHead title="Upstreams" />;
}
