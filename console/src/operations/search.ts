// SPDX-License-Identifier: Apache-2.0
// Reads the query of an address. It holds what the visitor has chosen on the page, so that a link shows the same.

export type RawSearch = Record<string, unknown>;

/**
 * Returns the text of a parameter, undefined where it is absent or blank.
 *
 * The router reads `?client=123` as a number and `?client=true` as a boolean; ids may look so.
 */
export function readText(search: RawSearch, name: string): string | undefined {
  const value = search[name];
  if (typeof value === 'string') return value.trim() || undefined;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** Returns one of some values, undefined for any other. */
export function readOneOf<Value extends string>(
  search: RawSearch,
  name: string,
  values: readonly Value[],
): Value | undefined {
  const text = readText(search, name);
  return values.find((value) => value === text);
}

/** Returns a whole number within limits. */
export function readCount(search: RawSearch, name: string, min: number, max: number): number | undefined {
  const number = Number(readText(search, name) ?? Number.NaN);
  return Number.isInteger(number) && number >= min && number <= max ? number : undefined;
}

/** The fields of an address that have a value. */
export type DefinedFields<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

/** Returns the fields that have a value. The address is made of these alone. */
export function definedFields<Fields extends object>(fields: Fields): DefinedFields<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as DefinedFields<Fields>;
}

/** Returns the path of a call with the fields that have a value as its query. */
export function callPath(path: string, fields: Record<string, string | number | null | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null && value !== '') query.set(name, String(value));
  }
  return query.size > 0 ? `${path}?${query}` : path;
}
