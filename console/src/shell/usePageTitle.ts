// SPDX-License-Identifier: Apache-2.0
import { useEffect } from 'react';

/** Sets the title of the browser's tab. */
export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · MLflow Bridge`;
  }, [title]);
}
