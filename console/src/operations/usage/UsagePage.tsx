// SPDX-License-Identifier: Apache-2.0
// What each client uses.
import { PageHead } from '../states/PageHead';

export default function UsagePage() {
  return <PageHead title="Usage" />;
}
