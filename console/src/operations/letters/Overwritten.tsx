// SPDX-License-Identifier: Apache-2.0
// What a replay of many letters would overwrite: looked up for one letter of each cause.
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQueries, useQuery } from '@tanstack/react-query';

import { requestJson } from '../../api/request';
import type { LetterFilter } from './letterFilter';
import { type Conflicts, conflictsQuery, type LetterStatistics, statisticsPath } from './letters';
import { overwrittenText } from './conflictText';

/** MLflow is asked for each letter that is looked at. */
const MAX_SAMPLES = 5;

export function Overwritten({ filter }: { filter: LetterFilter }) {
  const path = statisticsPath(filter);
  const statistics = useQuery({
    queryKey: ['ops', path],
    queryFn: ({ signal }) => requestJson<LetterStatistics>(path, { signal }),
    staleTime: 60_000,
  });
  const samples = (statistics.data?.groups ?? []).slice(0, MAX_SAMPLES).map(({ sample }) => sample);
  const asked = useQueries({ queries: samples.map((id) => conflictsQuery(id)) });
  if (statistics.isPending || asked.some(({ isPending }) => isPending)) {
    return <StatusIndicator type="loading">Looking up what a replay would overwrite</StatusIndicator>;
  }
  const answers = asked.flatMap(({ data }) => data ?? []);
  return <Sampled answers={answers} samples={samples.length} />;
}

function Sampled({ answers, samples }: { answers: Conflicts[]; samples: number }) {
  const checked = answers.filter((each) => each.checked);
  const found = checked.filter(({ overwrites }) => overwrites.length > 0);
  const of = `one letter of each cause was looked at (${checked.length.toLocaleString('en')} of ${samples.toLocaleString('en')})`;
  if (checked.length === 0) {
    const why = answers.find((each) => each.why)?.why ?? 'MLflow was not asked.';
    return <StatusIndicator type="info">It is not known what a replay would overwrite: {why}</StatusIndicator>;
  }
  if (found.length === 0) {
    return <StatusIndicator type="success">Nothing newer would be overwritten: {of}.</StatusIndicator>;
  }
  const texts = new Set(found.flatMap(({ overwrites }) => overwrites.map(overwrittenText)));
  return (
    <div>
      <StatusIndicator type="warning">A replay overwrites newer values: {of}.</StatusIndicator>
      <ul className="overwrites">
        {[...texts].map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </div>
  );
}
