/** Compiles the examples of the documentation without a change. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/processes.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Example {
  readonly name: string;
  readonly code: string;
}

/** The TypeScript of a page, each block a module of its own, named by the line where it begins. */
function examplesOf(page: string, keep: (code: string) => boolean = () => true): Example[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```(tsx?|js)\n([\s\S]*?)^```/gm)]
    .map(({ 1: kind = '', 2: code = '', index }) => {
      const line = text.slice(0, index).split('\n').length + 1;
      return { name: `${page.replaceAll(/\W/g, '-')}-${line}.${kind === 'tsx' ? 'tsx' : 'ts'}`, code };
    })
    .filter(({ code }) => keep(code));
}

it('compile', () => {
  const examples = [
    ...examplesOf('docs/client.md'),
    ...examplesOf('README.md', (code) => code.includes("'parley/client'")),
  ];
  expect(examples.length).toBeGreaterThan(8);
  const folder = temporaryFolder('parley-examples-');
  try {
    mkdirSync(folder, { recursive: true });
    // Each block is a module, also one that exports nothing.
    for (const { name, code } of examples) writeFileSync(join(folder, name), `${code}\nexport {};\n`);
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        lib: ['es2023', 'es2024.string', 'dom', 'dom.iterable'],
        module: 'esnext',
        moduleResolution: 'bundler',
        types: [],
        jsx: 'react-jsx',
        // React's own types are not here; what the hooks need of it is.
        jsxImportSource: 'preact',
        noUnusedLocals: false,
        paths: {
          'parley/client': [join(root, 'src/client/index.ts')],
          'parley/notifications': [join(root, 'src/client/notifications.ts')],
          'parley/threads': [join(root, 'src/client/threads.ts')],
          'parley/react': [join(root, 'src/react/index.ts')],
          'preact/jsx-runtime': [join(root, 'node_modules/preact/jsx-runtime')],
          zod: [join(root, 'node_modules/zod')],
        },
      },
      include: [join(folder, '*'), join(root, 'src/react/react.d.ts')],
      exclude: [],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    let found = '';
    try {
      execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
    } catch (error) {
      found = (error as { stdout: string }).stdout;
    }
    expect(found).toBe('');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);
