// SPDX-License-Identifier: Apache-2.0
// Builds twice into two folders and fails if the results differ.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VITE = fileURLToPath(new URL('../node_modules/vite/bin/vite.js', import.meta.url));
const CONSOLE = fileURLToPath(new URL('..', import.meta.url));

function build(output) {
    const { status, stderr } = spawnSync(process.execPath, [VITE, 'build', '--logLevel', 'warn'], {
        cwd: CONSOLE,
        env: { ...process.env, CONSOLE_OUTPUT: output },
        encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`The build failed: ${stderr}`);
}

/** Returns each file of a folder with the hash of its content. */
function hashes(folder) {
    const files = readdirSync(folder, { recursive: true }).filter((name) => statSync(join(folder, name)).isFile());
    return files.toSorted().map(
        (name) =>
            `${createHash('sha256')
                .update(readFileSync(join(folder, name)))
                .digest('hex')} ${name}`,
    );
}

const outputs = ['one', 'two'].map((name) => mkdtempSync(join(tmpdir(), `console-${name}-`)));
try {
    outputs.forEach(build);
    const [one, two] = outputs.map(hashes);
    const different = one.filter((line) => !two.includes(line));
    if (different.length > 0 || one.length !== two.length) {
        console.error(`Two builds differ in ${different.join(', ')}. Find what depends on the folder or the time.`);
        process.exit(1);
    }
    console.log(`two builds are identical: ${one.length} files`);
} finally {
    for (const output of outputs) rmSync(output, { recursive: true, force: true });
}
