/**
 * Large uploads over a network that cuts: by requests that end in the middle, and by the stock client of the tus protocol. The
 * server is a process of its own, so that its memory is measured alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';
import { Upload } from 'tus-js-client';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/processes.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { Uploader } from './tus.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

/** `PARLEY_UPLOAD_MB=200` is the long form. */
const megabytes = Number(process.env['PARLEY_UPLOAD_MB'] ?? '24');
const mebibyte = 1024 * 1024;
const chunk = 4 * mebibyte;
/** The most by which the memory of the server may grow, whatever the size of the file. */
const growth = 64 * mebibyte;

const folder = temporaryFolder('parley-uploads-');
let database: TestDatabase;
let server: SpawnedServer;
let proxy: Proxy;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await spawnServer({
    DATABASE_URL: database.url,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_UPLOAD_STORE: 'folder',
    PARLEY_UPLOAD_FOLDER: folder,
    PARLEY_UPLOAD_SECRET: testSecret,
    PARLEY_API_TIERS: 'off',
  });
  proxy = await startProxy(server.url);
});
afterAll(async () => {
  await proxy.close();
  server.kill('SIGTERM');
  await server.exit();
  await database.drop();
  rmSync(folder, { recursive: true });
});

function memory(): number {
  const [, kibibytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

function zip(bytes: number): Buffer {
  const file = randomBytes(bytes);
  file.write('PK\u0003\u0004');
  return file;
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The chunk in small parts. The network is cut after half of them. */
function cutInTheMiddle(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  let isCut = false;
  return new ReadableStream(
    {
      async pull(controller) {
        // lets the proxy, which is in this process, pass the part before
        await immediate();
        if (!isCut && at > bytes.byteLength / 2) {
          isCut = true;
          proxy.cut();
          proxy.restore();
        }
        controller.enqueue(bytes.subarray(at, (at += 64 * 1024)));
        if (at >= bytes.byteLength) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

async function download(uploader: Uploader, id: string): Promise<Buffer> {
  const { url } = await uploader.link(id);
  return Buffer.from(await (await fetch(url)).arrayBuffer());
}

it(`a file of ${megabytes} MB arrives whole through cuts, and the memory of the server stays`, async () => {
  const ann = new Uploader(proxy.url.replace(/\/$/, ''), 'ann');
  const direct = new Uploader(server.url, 'ann');
  const file = zip(megabytes * mebibyte);
  // the first upload compiles and loads what every upload needs
  await ann.upload('warm-up.zip', zip(2 * chunk));
  const before = memory();
  let most = before;
  let kept = 0;
  const id = String((await ann.create('large.zip', file.byteLength)).body['id']);
  for (let n = 0, offset = 0; offset < file.byteLength; n++) {
    const part = file.subarray(offset, offset + chunk);
    const isCut = n % 3 === 1;
    const sent = await ann.append(id, offset, isCut ? cutInTheMiddle(part) : part).catch(() => undefined);
    expect(sent?.status).toBe(isCut ? undefined : 204);
    most = Math.max(most, memory());
    const now = Number((await direct.head(id)).headers.get('upload-offset'));
    if (isCut && now > offset) kept++;
    offset = now;
  }
  expect(kept).toBeGreaterThan(0);
  expect(hash(await download(direct, id))).toBe(hash(file));
  most = Math.max(most, memory());
  expect(most - before).toBeLessThan(growth);
});

it('the stock client of the protocol goes on after cuts', async () => {
  const file = zip(12 * mebibyte);
  const authorization = `Bearer ${await tokenOf('ben')}`;
  let cuts = 0;
  const url = await new Promise<string>((resolve, reject) => {
    const upload = new Upload(file, {
      endpoint: `${proxy.url.replace(/\/$/, '')}/api/v1/uploads`,
      headers: { authorization },
      metadata: { filename: 'stock.zip', filetype: 'application/zip' },
      chunkSize: chunk,
      retryDelays: [0, 100, 500, 1000],
      onProgress: (sent) => {
        if (sent > (cuts + 0.5) * chunk && cuts < 2) {
          cuts++;
          proxy.cut();
          proxy.restore();
        }
      },
      onError: reject,
      onSuccess: () => resolve(upload.url ?? ''),
    });
    upload.start();
  });
  expect(cuts).toBe(2);
  const ben = new Uploader(server.url, 'ben');
  const id = url.split('/').at(-1) ?? '';
  expect((await ben.request('GET', `/api/v1/uploads/${id}`)).body).toMatchObject({
    complete: true,
    type: 'application/zip',
  });
  expect(hash(await download(ben, id))).toBe(hash(file));
});

it('the stock client ends an upload, and a refused one ends by itself', async () => {
  const authorization = `Bearer ${await tokenOf('cat')}`;
  const start = (file: Buffer, name: string, options: { readonly onProgress?: (upload: Upload) => void }) =>
    new Promise<Upload | Error>((resolve) => {
      const upload: Upload = new Upload(file, {
        endpoint: `${server.url}/api/v1/uploads`,
        headers: { authorization },
        metadata: { filename: name },
        chunkSize: mebibyte,
        onChunkComplete: () => {
          if (options.onProgress !== undefined) resolve(upload);
        },
        onError: resolve,
        onSuccess: () => resolve(upload),
      });
      upload.start();
    });
  const half = await start(zip(8 * mebibyte), 'half.zip', { onProgress: () => {} });
  if (half instanceof Error) throw half;
  await half.abort(true);
  const cat = new Uploader(server.url, 'cat');
  expect((await cat.head(half.url?.split('/').at(-1) ?? '')).status).toBe(404);
  const refused = await start(zip(8 * mebibyte), 'photo.png', {});
  expect(refused).toMatchObject({ message: expect.stringContaining('unsupported_type') as unknown });
});
