// SPDX-License-Identifier: Apache-2.0
// Reads the query of the page's address: the filter and the place in the list.
import { definedFields, readText } from '../search';
import type { RawSearch } from '../search';
import type { AuditField } from './audit';
import { auditProblem } from './auditFilter';

export const auditSearch = (search: RawSearch) => {
  const readValid = (field: AuditField): string | undefined => {
    const text = readText(search, field);
    return text !== undefined && auditProblem(field, text) === null ? text : undefined;
  };
  return definedFields({
    client: readValid('client'),
    action: readValid('action'),
    decision: readValid('decision'),
    request_id: readValid('request_id'),
    since: readValid('since'),
    until: readValid('until'),
    cursor: readText(search, 'cursor'),
  });
};
