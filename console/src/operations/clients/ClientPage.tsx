// SPDX-License-Identifier: Apache-2.0
// One client.
import { PageHead } from '../states/PageHead';

export default function ClientPage() {
  return <PageHead title="Client" />;
}
