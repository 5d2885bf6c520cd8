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
  for (const point of sortedPoints(points)) latest.set(String(point.step ?? 0), point);
  const ordered = sortedPoints([...latest.values()]);
  return {
    steps: ordered.map(({ step }) => Number(step ?? 0)),
    values: ordered.map(({ value }) => finiteNumber(value)),
  };
}

/** Returns a chart's content in a sentence, for people who do not see it. */
export function seriesSentence(key: string, { steps, values }: Series): string {
  const finiteValues = values.filter((value) => value !== null);
  const [first, last] = [finiteValues.at(0), finiteValues.at(-1)];
  if (first === undefined || last === undefined) return `Chart of ${key}: no finite values.`;
  let [least, most] = [first, first];
  for (const value of finiteValues) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const range = `from step ${steps.at(0)} to ${steps.at(-1)}`;
  return `Chart of ${key}: ${finiteValues.length} values ${range}, first ${first}, last ${last}, least ${least}, most ${most}.`;
}

/** Returns the points in the order of steps, then of time. */
export function sortedPoints(points: Metric[]): Metric[] {
  return points.toSorted(
    (one, other) => compareIntegers(one.step ?? 0, other.step ?? 0) || compareIntegers(one.timestamp, other.timestamp),
  );
}

function compareIntegers(one: Integer, other: Integer): number {
  // A step may be a number, a string or a bigint. As numbers, steps beyond 2^53 may be equal.
  const [left, right] = [BigInt(one), BigInt(other)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function finiteNumber(value: number | string): number | null {
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}
