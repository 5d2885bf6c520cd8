// SPDX-License-Identifier: Apache-2.0
// One run and its lane.
import { PageHead } from '../states/PageHead';

export default function RunPage() {
  return <PageHead title="Run" />;
}
