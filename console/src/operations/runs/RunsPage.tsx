// SPDX-License-Identifier: Apache-2.0
// The runs that wait.
import { PageHead } from '../states/PageHead';

export default function RunsPage() {
  return <PageHead title="Runs" />;
}
