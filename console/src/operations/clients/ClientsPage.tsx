// SPDX-License-Identifier: Apache-2.0
// The clients.
import { PageHead } from '../states/PageHead';

export default function ClientsPage() {
  return <PageHead title="Clients" />;
}
