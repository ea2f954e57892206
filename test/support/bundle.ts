/**
 * The built program in one CommonJS file. A run of the tests starts some hundred processes. Node needs 1.1 s of processor to
 * load the 470 files of `dist`, and 0.4 s for this file. An ES module takes 0.8 s, because Node compiles it whole. The modules
 * are those of `dist`, in the same order.
 */
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'vite';

/** Packages that find files of their own beside themselves, load a binary, or are seldom used and large. */
const external = ['@electric-sql/pglite', 'bullmq', 'pino', 'pino-pretty', 'uWebSockets.js'];

/**
 * V8 compiles the functions of PGlite once, with its quick compiler. Its slow compiler took 2 s of the 3.6 s of processor
 * until a server with the embedded database listened.
 */
export const quickWasmFlags: readonly string[] = ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering'];
const banner = `for (const flag of ${JSON.stringify(quickWasmFlags)}) require('node:v8').setFlagsFromString(flag);`;

/** @param entry `dist/main.js`; @param file gets the program, within the project, where `node_modules` is found. */
export async function bundleProgram(entry: string, file: string): Promise<void> {
  await build({
    configFile: false,
    logLevel: 'error',
    root: dirname(entry),
    plugins: [ownUrls(entry), loadedLater(entry)],
    ssr: { noExternal: true, external },
    build: {
      ssr: entry,
      outDir: dirname(file),
      emptyOutDir: false,
      minify: false,
      target: 'node20',
      rolldownOptions: {
        output: { banner, entryFileNames: file.slice(dirname(file).length + 1), format: 'cjs', codeSplitting: false },
      },
    },
  });
}

/** A module finds its files by its own URL. The entry keeps the name of the bundle, from which it starts workers. */
function ownUrls(entry: string): Plugin {
  return {
    name: 'own-urls',
    transform(code, id) {
      if (!id.startsWith(dirname(entry)) || !code.includes('import.meta')) return null;
      if (id === entry) return { code: code.replaceAll('import.meta.filename', '__filename'), map: null };
      return { code: code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)), map: null };
    },
  };
}

/** The program imports this module only when a setting needs it. One file would load its packages at each start. */
function loadedLater(entry: string): Plugin {
  return {
    name: 'loaded-later',
    resolveId: (id) =>
      id.endsWith('/s3-store.js') ? { id: join(dirname(entry), 'uploads/s3-store.js'), external: 'absolute' } : null,
  };
}
