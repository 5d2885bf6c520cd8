// SPDX-License-Identifier: Apache-2.0
// When an open circuit breaker lets the next call through. Once that is past, the call waits for a write.
import { Moment } from './Moment';
import { useNow } from './useNow';

export function NextCall({ at }: { at: string }) {
  const now = useNow();
  if (Date.parse(at) <= now) return <>one call is tried with the next write that is due</>;
  return (
    <>
      one call is tried at <Moment at={at} />
    </>
  );
}
