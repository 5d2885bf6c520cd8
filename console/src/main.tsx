// SPDX-License-Identifier: Apache-2.0
// Starts the portal.
import { I18nProvider } from '@cloudscape-design/components/i18n';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { ProblemError } from './api/problem';
import { router } from './router';
import { messages } from './shell/messages';
import { applyTheme } from './shell/theme';
import './shell/base.css';
import './shell/shell.css';

const MAX_RETRIES = 2;

const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // The bridge refuses the same request again, so only a request without an answer is repeated.
      retry: (failures, error) => failures < MAX_RETRIES && error instanceof ProblemError && error.isUnreachable,
      staleTime: 2000,
    },
  },
});

applyTheme();
const container = document.getElementById('root');
if (container) {
  createRoot(container).render(
    <StrictMode>
      <I18nProvider locale="en" messages={messages}>
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </I18nProvider>
    </StrictMode>,
  );
}
