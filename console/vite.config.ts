// SPDX-License-Identifier: Apache-2.0
// Builds the console into `api/console/`, from where the api serves it at `/app`.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

/** The bridge that the development server passes calls to. */
const BRIDGE_URL = process.env['BRIDGE_URL'] ?? 'http://127.0.0.1:8080';

/** Where the build goes; `scripts/check-reproducible.mjs` builds into two other folders. */
const OUTPUT = process.env['CONSOLE_OUTPUT'] ?? '../api/console';

export default defineConfig({
  base: '/app/',
  plugins: [react()],
  build: {
    outDir: OUTPUT,
    // The output lies outside this folder, and a file of an earlier build must not stay there.
    emptyOutDir: true,
    target: 'es2023',
    manifest: 'manifest.json',
    license: { fileName: 'third-party-licenses.md' },
    // A `data:` URL in a script would need a wider policy for contents.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          // Vendors' code changes rarely, so a browser keeps these files from one release to the next.
          groups: [{ name: 'react', test: /node_modules[\\/](react|react-dom|scheduler|@tanstack)[\\/]/ }],
        },
      },
    },
  },
  server: {
    port: 5173,
    strictPort: true,
    // The runbook lies outside this folder.
    fs: { allow: ['.', '../docs/how-to'] },
    // The bridge compares `Origin` with `Host`, so the host of the development server is kept.
    proxy: { '^/(?!app(/|$)|app\\?)': { target: BRIDGE_URL, changeOrigin: false } },
  },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'], restoreMocks: true },
});
