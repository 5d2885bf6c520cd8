// SPDX-License-Identifier: Apache-2.0
// Fails if the first load of a page is larger than the budget. Run after a build.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** What a browser loads, compressed, before the first page works. */
const BUDGET_BYTES = 520_000;

const build = process.env.CONSOLE_OUTPUT ?? fileURLToPath(new URL('../../api/console', import.meta.url));
const manifest = JSON.parse(readFileSync(`${build}/manifest.json`, 'utf8'));

/** Returns the files that an entry of the manifest loads, with those that it imports. */
function filesOf(name, seen = new Set()) {
    if (seen.has(name)) return [];
    seen.add(name);
    const { file, css = [], imports = [] } = manifest[name];
    return [file, ...css, ...imports.flatMap((each) => filesOf(each, seen))];
}

const sizeOf = (file) => gzipSync(readFileSync(`${build}/${file}`)).length;
const total = (files) => [...new Set(files)].reduce((sum, file) => sum + sizeOf(file), 0);
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} KB`.padStart(9);

const entry = filesOf('index.html');
const size = total(['index.html', ...entry]);
console.log(`${kilobytes(size)} first load (budget ${BUDGET_BYTES / 1000} KB)`);
for (const file of new Set(entry)) console.log(`${kilobytes(sizeOf(file))}   ${file}`);
for (const [name, { isDynamicEntry }] of Object.entries(manifest)) {
    if (!isDynamicEntry) continue;
    const more = filesOf(name).filter((file) => !entry.includes(file));
    console.log(`${kilobytes(total(more))} more for ${name}`);
}
if (size > BUDGET_BYTES) {
    console.error(
        `The first load is ${size} bytes, more than ${BUDGET_BYTES}. Load what the first page does not need later.`,
    );
    process.exit(1);
}
