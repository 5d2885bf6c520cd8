// SPDX-License-Identifier: Apache-2.0
// How the bridge is doing, in one glance.
import { PageHead } from '../states/PageHead';

export default function OverviewPage() {
  return <PageHead title="Overview" />;
}
