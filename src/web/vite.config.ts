import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const output = fileURLToPath(new URL('../../dist/web', import.meta.url));

/** Compresses each text of the output once, so that the server does not compress at a request. */
function compression(): Plugin {
  return {
    name: 'compression',
    closeBundle() {
      for (const entry of readdirSync(output, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !['.css', '.html', '.js', '.json', '.svg'].includes(extname(entry.name))) continue;
        const file = join(entry.parentPath, entry.name);
        const content = readFileSync(file);
        // shorter files save less than a packet
        if (content.length < 1024) continue;
        writeFileSync(`${file}.br`, brotliCompressSync(content));
        writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [compression()],
  build: {
    outDir: output,
    emptyOutDir: true,
    target: 'es2022',
    // The polyfill and inlined assets would need `unsafe-inline` or `data:` in the content security policy.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
});
