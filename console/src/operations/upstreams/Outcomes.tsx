// SPDX-License-Identifier: Apache-2.0
// The outcomes of the calls of the last hour.
import { countText, quantityText } from '../figures';

export function Outcomes({ outcomes }: { outcomes: Record<string, number> }) {
  const entries = Object.entries(outcomes).filter(([, count]) => count > 0);
  const total = entries.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return <div>No call was made in the last hour.</div>;
  return (
    <div>
      <strong>{quantityText(total, 'call')} in the last hour</strong>
      <ul className="outcomes">
        {entries.map(([outcome, count]) => (
          <li key={outcome}>
            <span>{outcome}</span>
            <meter
              min={0}
              max={total}
              value={count}
              // Above `high`, with an optimum below it, the browser shows a meter as bad.
              {...(outcome !== 'delivered' && { low: 0, high: 0, optimum: 0 })}
              aria-label={outcome}
              className="outcome"
            />
            <span>{countText(count)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
