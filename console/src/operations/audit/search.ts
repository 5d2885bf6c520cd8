// SPDX-License-Identifier: Apache-2.0
// What the address of the page says: the filter and the place in the list.
import { given, readText } from '../search';
import type { RawSearch } from '../search';
import type { AuditField } from './audit';
import { auditProblem } from './auditFilter';

export const auditSearch = (search: RawSearch) => {
  const valid = (field: AuditField): string | undefined => {
    const text = readText(search, field);
    return text !== undefined && auditProblem(field, text) === null ? text : undefined;
  };
  return given({
    client: valid('client'),
    action: valid('action'),
    decision: valid('decision'),
    request_id: valid('request_id'),
    since: valid('since'),
    until: valid('until'),
    cursor: readText(search, 'cursor'),
  });
};
