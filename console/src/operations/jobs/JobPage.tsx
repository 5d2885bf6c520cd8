// SPDX-License-Identifier: Apache-2.0
// One job.
import { PageHead } from '../states/PageHead';

export default function JobPage() {
  return <PageHead title="Job" />;
}
