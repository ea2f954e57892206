/**
 * The built program in one file. Node needs a second of processor to load the 470 files of `dist`, and half of that
 * for one file. A run of the tests starts some hundred processes. The modules are those of `dist`, in the same order.
 */
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'vite';

/** Packages that find files of their own beside themselves, load a binary, or are seldom used and large. */
const external = ['@electric-sql/pglite', '@tus/s3-store', 'pino', 'pino-pretty', 'uWebSockets.js'];

/** @param entry `dist/main.js`; @param file gets the program, within the project, where `node_modules` is found. */
export async function bundleProgram(entry: string, file: string): Promise<void> {
  await build({
    configFile: false,
    logLevel: 'error',
    root: dirname(entry),
    plugins: [ownUrls(entry)],
    ssr: { noExternal: true, external },
    build: {
      ssr: entry,
      outDir: dirname(file),
      emptyOutDir: false,
      minify: false,
      target: 'node20',
      rolldownOptions: { output: { entryFileNames: file.slice(dirname(file).length + 1), codeSplitting: false } },
    },
  });
}

/** A module finds its files by its own URL. The entry keeps the URL of the bundle, from which it starts workers. */
function ownUrls(entry: string): Plugin {
  return {
    name: 'own-urls',
    transform(code, id) {
      if (id === entry || !id.startsWith(dirname(entry)) || !code.includes('import.meta.url')) return null;
      return { code: code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)), map: null };
    },
  };
}
