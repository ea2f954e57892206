import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodingOf, type ContentEncoding } from './content-encoding.ts';
import { namesTag } from './etags.ts';
import type { HttpAnswer } from './http.ts';

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
};

const security = {
  'Content-Security-Policy':
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
};

interface File {
  readonly body: Uint8Array<ArrayBuffer>;
  /** The same content, as the build compressed it. */
  readonly compressed: Readonly<Partial<Record<ContentEncoding, Uint8Array<ArrayBuffer>>>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly etag: string;
}

/** The end of the name of a compressed file. */
const endings: Readonly<Record<ContentEncoding, string>> = { br: '.br', gzip: '.gz' };

/** The folder of the demo: beside the folder of the compiled files or, when run from source, the output of the build. */
export function webFolder(): string {
  const beside = fileURLToPath(new URL('../web', import.meta.url));
  return import.meta.url.endsWith('.ts') || !existsSync(beside)
    ? fileURLToPath(new URL('../../dist/web', import.meta.url))
    : beside;
}

/** The built web pages, read once: a running server does not notice a rebuild. */
export class StaticFiles {
  readonly #files = new Map<string, File>();

  constructor(folder: string) {
    if (!existsSync(folder)) return;
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || Object.values(endings).includes(extname(entry.name))) continue;
      const file = join(entry.parentPath, entry.name);
      const path = `/${relative(folder, file).split(sep).join('/')}`;
      this.#files.set(path === '/index.html' ? '/' : path, load(file, path));
    }
  }

  /** @param accepted the header Accept-Encoding @returns undefined for an unknown path. */
  get(path: string, ifNoneMatch: string, accepted: string): HttpAnswer | undefined {
    const file = this.#files.get(path);
    if (file === undefined) return undefined;
    const encoding = encodingOf(accepted);
    const compressed = encoding === undefined ? undefined : file.compressed[encoding];
    // the bytes of each encoding differ, so the tag is weak
    const etag = compressed === undefined ? file.etag : `W/${file.etag}`;
    const headers = { ...file.headers, ETag: etag };
    if (ifNoneMatch !== '' && namesTag(ifNoneMatch, file.etag)) return { status: 304, headers };
    if (encoding === undefined || compressed === undefined) return { status: 200, headers, body: file.body };
    return { status: 200, headers: { ...headers, 'Content-Encoding': encoding }, body: compressed };
  }
}

function load(file: string, path: string): File {
  const body = new Uint8Array(readFileSync(file));
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  // Vite puts a hash of the content in the names of assets
  const cache = path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
  const compressed = Object.fromEntries(
    Object.entries(endings)
      .map(([encoding, ending]) => [encoding, `${file}${ending}`] as const)
      .filter(([, beside]) => existsSync(beside))
      .map(([encoding, beside]) => [encoding, new Uint8Array(readFileSync(beside))]),
  );
  return {
    body,
    compressed,
    etag,
    headers: {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      'Cache-Control': cache,
      ...(Object.keys(compressed).length === 0 ? {} : { Vary: 'Accept-Encoding' }),
      ...security,
    },
  };
}
