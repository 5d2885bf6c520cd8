// SPDX-License-Identifier: Apache-2.0
// Jobs by what a client knows of them.
import { PageHead } from '../states/PageHead';

export default function JobsPage() {
  return <PageHead title="Jobs" />;
}
