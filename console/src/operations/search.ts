// SPDX-License-Identifier: Apache-2.0
// Reads what stands in the query of an address. A page's choices are there, so that a link shows the same.

export type RawSearch = Record<string, unknown>;

/** Returns a text. The router reads `?client=123` as a number and `?client=true` as a boolean; ids may look so. */
export function readText(search: RawSearch, name: string): string | undefined {
  const value = search[name];
  if (typeof value === 'string') return value.trim() || undefined;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** Returns one of some values, undefined for any other. */
export function oneIn<Value extends string>(
  search: RawSearch,
  name: string,
  values: readonly Value[],
): Value | undefined {
  const text = readText(search, name);
  return values.find((value) => value === text);
}

/** Returns a whole number within limits. */
export function readCount(search: RawSearch, name: string, least: number, most: number): number | undefined {
  const number = Number(readText(search, name) ?? Number.NaN);
  return Number.isInteger(number) && number >= least && number <= most ? number : undefined;
}

/** Returns a moment, ISO 8601 with a zone. */
export function momentIn(search: RawSearch, name: string): string | undefined {
  const text = readText(search, name);
  return text !== undefined && /(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : undefined;
}

export type Given<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

/** Returns the fields that have a value: an address has no others. */
export function given<Fields extends object>(fields: Fields): Given<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<Fields>;
}

/** Returns the path of a call with the fields that have a value as its query. */
export function callPath(path: string, fields: Record<string, string | number | null | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null && value !== '') query.set(name, String(value));
  }
  return query.size > 0 ? `${path}?${query}` : path;
}
