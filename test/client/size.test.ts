import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { expect, it } from 'vitest';

it('has all of the SDK in at most 15 KB, compressed, in one file that imports nothing', async () => {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      target: 'es2022',
      minify: false,
      lib: { entry: fileURLToPath(new URL('../../src/client/index.ts', import.meta.url)), formats: ['es'] },
      // Vite leaves the white space in libraries.
      rolldownOptions: { output: { minify: true } },
    },
  });
  const [result] = Array.isArray(built) ? built : [built];
  const files = result !== undefined && 'output' in result ? result.output : [];
  expect(files).toHaveLength(1);
  const [file] = files;
  expect(file?.imports).toEqual([]);
  const bytes = gzipSync(file?.code ?? '', { level: 9 }).length;
  console.log(`parley/client: ${bytes} bytes gzipped`);
  expect(bytes).toBeGreaterThan(5000);
  expect(bytes).toBeLessThanOrEqual(15_000);
});
