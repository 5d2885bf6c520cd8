// SPDX-License-Identifier: Apache-2.0
// What operators have done.
import { PageHead } from '../states/PageHead';

export default function AuditPage() {
  return <PageHead title="Audit" />;
}
