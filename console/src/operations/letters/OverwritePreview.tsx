// SPDX-License-Identifier: Apache-2.0
// A preview of what a replay of many letters would overwrite, from one sample letter of each cause.
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQueries, useQuery } from '@tanstack/react-query';

import { requestJson } from '../../api/request';
import type { LetterFilter } from './letterFilter';
import { type Conflicts, conflictsQuery, type LetterStatistics, statisticsPath } from './letters';
import { overwrittenText } from './conflictText';

/** Each sample costs calls of MLflow. */
const MAX_SAMPLES = 5;

export function OverwritePreview({ filter }: { filter: LetterFilter }) {
  const path = statisticsPath(filter);
  const statistics = useQuery({
    queryKey: ['ops', path],
    queryFn: ({ signal }) => requestJson<LetterStatistics>(path, { signal }),
    staleTime: 60_000,
  });
  const samples = (statistics.data?.groups ?? []).slice(0, MAX_SAMPLES).map(({ sample }) => sample);
  const conflictQueries = useQueries({ queries: samples.map((id) => conflictsQuery(id)) });
  if (statistics.isPending || conflictQueries.some(({ isPending }) => isPending)) {
    return <StatusIndicator type="loading">Looking up what a replay would overwrite</StatusIndicator>;
  }
  const conflicts = conflictQueries.flatMap(({ data }) => data ?? []);
  return <PreviewResult conflicts={conflicts} samples={samples.length} />;
}

function PreviewResult({ conflicts, samples }: { conflicts: Conflicts[]; samples: number }) {
  const checked = conflicts.filter((each) => each.checked);
  const overwriting = checked.filter(({ overwrites }) => overwrites.length > 0);
  const sampleText = `one letter of each cause was looked at (${checked.length.toLocaleString('en')} of ${samples.toLocaleString('en')})`;
  if (checked.length === 0) {
    const why = conflicts.find((each) => each.why)?.why ?? 'MLflow was not asked.';
    return <StatusIndicator type="info">It is not known what a replay would overwrite: {why}</StatusIndicator>;
  }
  if (overwriting.length === 0) {
    return <StatusIndicator type="success">Nothing newer would be overwritten: {sampleText}.</StatusIndicator>;
  }
  const texts = new Set(overwriting.flatMap(({ overwrites }) => overwrites.map(overwrittenText)));
  return (
    <div>
      <StatusIndicator type="warning">A replay overwrites newer values: {sampleText}.</StatusIndicator>
      <ul className="overwrites">
        {[...texts].map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </div>
  );
}
