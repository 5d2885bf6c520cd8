// SPDX-License-Identifier: Apache-2.0
// A metric's history as a chart draws it.
import type { Integer, Metric } from './mlflow';

export interface Series {
  /** Steps, ascending. A chart's axis is of numbers, so a step beyond 2^53 is rounded here, and exact in the table. */
  steps: number[];
  /** Null for a value that is no finite number, such as NaN. */
  values: (number | null)[];
}

/** Returns the points in the order of steps, then of time; for a step that was logged again, the latest value. */
export function seriesOf(points: Metric[]): Series {
  const latest = new Map<string, Metric>();
  for (const point of inOrder(points)) latest.set(String(point.step ?? 0), point);
  const ordered = inOrder([...latest.values()]);
  return {
    steps: ordered.map(({ step }) => Number(step ?? 0)),
    values: ordered.map(({ value }) => finite(value)),
  };
}

/** Returns a chart's content in a sentence, for people who do not see it. */
export function seriesSentence(key: string, { steps, values }: Series): string {
  const known = values.filter((value) => value !== null);
  const [first, last] = [known.at(0), known.at(-1)];
  if (first === undefined || last === undefined) return `Chart of ${key}: no finite values.`;
  let [least, most] = [first, first];
  for (const value of known) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const range = `from step ${steps.at(0)} to ${steps.at(-1)}`;
  return `Chart of ${key}: ${known.length} values ${range}, first ${first}, last ${last}, least ${least}, most ${most}.`;
}

export function inOrder(points: Metric[]): Metric[] {
  return points.toSorted(
    (one, other) => compare(one.step ?? 0, other.step ?? 0) || compare(one.timestamp, other.timestamp),
  );
}

function compare(one: Integer, other: Integer): number {
  const [left, right] = [BigInt(one), BigInt(other)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function finite(value: number | string): number | null {
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}
