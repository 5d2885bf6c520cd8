// SPDX-License-Identifier: Apache-2.0
// Stores all pages of a list as a CSV file.
import Button from '@cloudscape-design/components/button';
import { useMutation } from '@tanstack/react-query';

import { saveCsv } from './saveCsv';

interface Props {
  /** Path and query of the list, without `limit` and `cursor`. */
  path: string;
  /** The file's name: `runs.csv`. */
  fileName: string;
}

export function CsvButton({ path, fileName }: Props) {
  const save = useMutation({ mutationFn: () => saveCsv(path, fileName) });
  return (
    <span>
      <Button iconName="download" loading={save.isPending} ariaLabel={`CSV: ${fileName}`} onClick={() => save.mutate()}>
        CSV
      </Button>
      <span role="status" className={save.error ? 'csv-error' : undefined}>
        {save.error && `Not stored: ${save.error.message}`}
      </span>
    </span>
  );
}
