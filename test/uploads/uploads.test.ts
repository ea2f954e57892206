/** Uploads over HTTP: the tus protocol, messages that name files, and signed links. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { SignedLinks } from '../../src/uploads/signed-links.ts';
import { stage } from '../stage.ts';
import { until } from '../support/until.ts';
import { pdf, png, Uploader } from './tus.ts';

const folder = mkdtempSync(join(tmpdir(), 'parley-uploads-'));
afterAll(() => rmSync(folder, { recursive: true }));

const secret = 'a secret of the tests, long enough for links';
const { server, people, room, sql } = await stage({
  people: ['owner', 'ann', 'stranger'],
  config: {
    PARLEY_UPLOAD_STORE: 'folder',
    PARLEY_UPLOAD_FOLDER: folder,
    PARLEY_UPLOAD_SECRET: secret,
    PARLEY_UPLOAD_MAX_BYTES: '100000',
    PARLEY_UPLOAD_MAX_BYTES_PER_USER: '300000',
    PARLEY_UPLOAD_MAX_OPEN_PER_USER: '3',
    PARLEY_UPLOAD_SWEEP_EVERY_MS: '100',
  },
});
const hall = await room();
const owner = new Uploader(server.url, 'owner');
const ann = new Uploader(server.url, 'ann');
const stranger = new Uploader(server.url, 'stranger');

const fileOf = (upload: string, name = 'plan.pdf', type = 'application/pdf', bytes = 10_000) => ({
  upload,
  name,
  type,
  bytes,
});

const send = (files: readonly object[], id = randomUUID(), by = people.owner) =>
  by.ok('message:send', { room: hall, id, body: { text: 'a file', files } });
const refused = (files: readonly object[], by = people.owner) =>
  by.error('message:send', { room: hall, id: randomUUID(), body: { files } });

/** A file of the owner in a message. */
async function posted(): Promise<{ id: string; seq: number }> {
  const id = await owner.upload('plan.pdf', pdf(10_000));
  return { id, seq: (await send([fileOf(id)])).seq };
}

const metric = async (name: string): Promise<number> => (await server.metrics()).get(name) ?? 0;

/** Runs as a user of its own, whose limits no other test uses. */
let users = 0;
const somebody = (): Uploader => new Uploader(server.url, `user-${++users}`);

describe('a file', () => {
  it('is uploaded in parts, named by a message, and read by a member through a link', async () => {
    const begun = await owner.create('plan.pdf', 10_000);
    expect(begun.status).toBe(201);
    const id = String(begun.body['id']);
    expect(begun.headers.get('location')).toBe(`/api/v1/uploads/${id}`);
    expect(begun.headers.get('tus-resumable')).toBe('1.0.0');
    expect(Date.parse(begun.headers.get('upload-expires') ?? '')).toBeGreaterThan(Date.now());
    const file = pdf(10_000);
    const first = await owner.append(id, 0, file.subarray(0, 6000));
    expect([first.status, first.headers.get('upload-offset')]).toEqual([204, '6000']);
    const head = await owner.head(id);
    expect([head.status, head.headers.get('upload-offset'), head.headers.get('cache-control')]).toEqual([
      200,
      '6000',
      'no-store',
    ]);
    const last = await owner.append(id, 6000, file.subarray(6000));
    expect([last.status, last.headers.get('upload-offset')]).toEqual([204, '10000']);
    const { body } = await owner.request('GET', `/api/v1/uploads/${id}`);
    expect(body).toEqual({
      id,
      name: 'plan.pdf',
      bytes: 10_000,
      offset: 10_000,
      type: 'application/pdf',
      complete: true,
      expires: null,
    });

    expect((await ann.link(id)).status).toBe(404);
    expect((await owner.link(id)).status).toBe(200);
    await send([fileOf(id)]);
    const link = await ann.link(id);
    const read = await fetch(link.url);
    expect(Buffer.from(await read.arrayBuffer()).equals(file)).toBe(true);
    expect(Object.fromEntries(read.headers)).toMatchObject({
      'content-type': 'application/pdf',
      'content-disposition': `attachment; filename="plan.pdf"; filename*=UTF-8''plan.pdf`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
      etag: `"${id}"`,
    });
    expect((await stranger.link(id)).status).toBe(404);
  });

  it('that is an image is shown inline, and with its name in UTF-8', async () => {
    const id = await owner.upload('Grüße "1".png', png);
    await send([{ ...fileOf(id, 'Grüße "1".png', 'image/png', png.byteLength), width: 1, height: 1 }]);
    const read = await fetch((await ann.link(id)).url);
    expect(read.headers.get('content-type')).toBe('image/png');
    expect(read.headers.get('content-disposition')).toBe(
      `inline; filename="Gr__e _1_.png"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.png`,
    );
    await read.arrayBuffer();
  });

  it('that is a text is never shown inside a page, whatever it is called', async () => {
    const html = Buffer.from('<!doctype html><script>alert(1)</script>');
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>');
    for (const [name, content] of [
      ['page.html', html],
      ['sign.svg', svg],
    ] as const) {
      const id = await owner.upload(name, content);
      const read = await fetch((await owner.link(id)).url);
      expect([read.headers.get('content-type'), read.headers.get('content-disposition')]).toEqual([
        'text/plain; charset=utf-8',
        expect.stringMatching(/^attachment;/) as unknown,
      ]);
      await read.arrayBuffer();
      expect((await owner.request('DELETE', `/api/v1/uploads/${id}`)).status).toBe(204);
    }
  });

  it('may come with the request that begins the upload', async () => {
    const file = pdf(5000);
    const metadata = `filename ${Buffer.from('a.pdf').toString('base64')}`;
    const begun = await owner.request('POST', '/api/v1/uploads', {
      headers: {
        'upload-length': '5000',
        'upload-metadata': metadata,
        'content-type': 'application/offset+octet-stream',
      },
      body: file,
    });
    expect([begun.status, begun.headers.get('upload-offset'), begun.body['complete']]).toEqual([201, '5000', true]);
    expect((await owner.request('DELETE', begun.headers.get('location') ?? '')).status).toBe(204);
  });

  it('is read in ranges, by HEAD, and not again while it is in a cache', async () => {
    const { id } = await posted();
    const file = pdf(10_000);
    const { url } = await ann.link(id);
    const range = async (value: string) => {
      const answer = await fetch(url, { headers: { range: value } });
      return [answer.status, answer.headers.get('content-range'), Buffer.from(await answer.arrayBuffer())] as const;
    };
    expect(await range('bytes=0-8')).toEqual([206, 'bytes 0-8/10000', Buffer.from(file.subarray(0, 9))]);
    expect((await range('bytes=9990-'))[1]).toBe('bytes 9990-9999/10000');
    expect((await range('bytes=-5'))[1]).toBe('bytes 9995-9999/10000');
    expect((await range('bytes=9999-20000'))[1]).toBe('bytes 9999-9999/10000');
    expect((await range('bytes=10000-'))[0]).toBe(416);
    expect((await range('bytes=5-2')).slice(0, 2)).toEqual([416, 'bytes */10000']);
    expect((await range('bytes=0-1,4-5'))[0]).toBe(200);
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges')]).toEqual([
      200,
      '10000',
      'bytes',
    ]);
    expect((await fetch(url, { headers: { 'if-none-match': `"${id}"` } })).status).toBe(304);
    const other = await fetch(url, { headers: { range: 'bytes=0-8', 'if-range': '"another"' } });
    expect(other.status).toBe(200);
    await other.arrayBuffer();
  });

  it('goes with its message, and its bytes soon after', async () => {
    const { id, seq } = await posted();
    const { url } = await ann.link(id);
    expect((await owner.request('DELETE', `/api/v1/uploads/${id}`)).status).toBe(409);
    await people.owner.ok('message:delete', { room: hall, seq });
    expect((await fetch(url)).status).toBe(404);
    expect((await ann.link(id)).status).toBe(404);
    await sql`update uploads set created_at = now() - interval '2 days', claimed_at = now() - interval '2 days' where id = ${id}`;
    await until('the file is gone', () => !readdirSync(folder).some((name) => name.startsWith(id)));
    await until('its row is gone', async () => (await sql`select from uploads where id = ${id}`).length === 0);
  });

  it('that no message names is removed after a day, and an unfinished one too', async () => {
    const user = somebody();
    const whole = await user.upload('plan.pdf', pdf(10_000));
    const part = String((await user.create('plan.pdf', 10_000)).body['id']);
    const { id: named } = await posted();
    const before = await metric('parley_uploads_removed_total');
    await sql`update uploads set created_at = now() - interval '25 hours' where id = any (${[whole, part, named]}::uuid[])`;
    await until('both are gone', async () => (await metric('parley_uploads_removed_total')) >= before + 2);
    expect((await user.head(whole)).status).toBe(404);
    expect((await user.append(part, 0, pdf(10_000))).status).toBe(404);
    expect((await ann.link(named)).status).toBe(200);
  });

  it('that an edit no longer names is gone for readers', async () => {
    const { id, seq } = await posted();
    const other = await owner.upload('plan.pdf', pdf(10_000));
    await people.owner.ok('message:edit', { room: hall, seq, body: { files: [fileOf(other)] } });
    expect([(await ann.link(id)).status, (await ann.link(other)).status]).toEqual([404, 200]);
  });
});

describe('a message', () => {
  it('names complete uploads of its sender, and no others', async () => {
    const mine = await owner.upload('plan.pdf', pdf(10_000));
    const open = String((await owner.create('plan.pdf', 10_000)).body['id']);
    const foreign = await ann.upload('plan.pdf', pdf(10_000));
    for (const id of [open, foreign, randomUUID()]) {
      expect(await refused([fileOf(mine), fileOf(id)])).toMatchObject({ code: 'invalid' });
    }
    for (const wrong of [{ name: 'other.pdf' }, { type: 'image/png' }, { bytes: 9 }, { upload: mine.toUpperCase() }]) {
      expect(await refused([{ ...fileOf(mine), ...wrong }])).toMatchObject({ code: 'invalid' });
    }
    expect(await refused([{ ...fileOf(mine), url: 'https://example.com' }])).toMatchObject({ code: 'invalid' });
    // a refused message has not taken the file
    const id = randomUUID();
    const first = await send([fileOf(mine)], id);
    expect((await send([fileOf(mine)], id)).seq).toBe(first.seq);
    expect(await refused([fileOf(mine)])).toMatchObject({ code: 'invalid' });
    expect((await owner.request('DELETE', `/api/v1/uploads/${open}`)).status).toBe(204);
  });

  it('that the room refuses gives its files back', async () => {
    const user = new Uploader(server.url, 'stranger');
    const id = await user.upload('plan.pdf', pdf(10_000));
    expect(await refused([fileOf(id)], people.stranger)).toMatchObject({ code: 'not_found' });
    const [row] = await sql<{ message: string | null }[]>`select message_id as message from uploads where id = ${id}`;
    expect(row?.message).toBeNull();
  });

  it('of REST names files as well', async () => {
    const id = await owner.upload('plan.pdf', pdf(10_000));
    const messages = [
      { room: hall, body: { files: [fileOf(id)] } },
      { room: hall, body: { files: [fileOf(randomUUID())] } },
    ];
    const { body } = await owner.request('POST', '/api/v1/publish', {
      tus: false,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify({ messages })),
    });
    expect(body['results']).toMatchObject([{ seq: expect.any(Number) as unknown }, { error: { code: 'invalid' } }]);
    expect((await ann.link(id)).status).toBe(200);
  });

  it('has ten files at most', async () => {
    const id = randomUUID();
    const files = Array.from({ length: 11 }, () => fileOf(id));
    expect((await refused(files)).message).toContain('at most 10 files');
    expect((await refused(files.slice(1))).message).toContain('complete uploads of yours');
  });

  it('stored by SQL names no files', async () => {
    const body = JSON.stringify({ files: [] });
    const publishing = sql`select parley.publish(${hall}, ${randomUUID()}, 'owner', ${body}::text::jsonb)`;
    await expect(publishing).rejects.toThrow('body.files');
  });
});

describe('an upload is refused', () => {
  it('over the size of a file', async () => {
    const user = somebody();
    expect((await user.create('a.pdf', 100_000)).status).toBe(201);
    const { status, body } = await user.create('a.pdf', 100_001);
    expect([status, body['code']]).toEqual([413, 'too_large']);
    expect(await metric('parley_uploads_refused_total{limit="size"}')).toBe(1);
  });

  it('over the total of its user', async () => {
    const user = somebody();
    for (let n = 0; n < 2; n++) await user.upload('a.pdf', pdf(100_000));
    const { status, body } = await user.create('a.pdf', 100_000);
    expect(status).toBe(201);
    const over = await user.create('a.pdf', 1);
    expect([over.status, over.body['code']]).toEqual([413, 'storage_full']);
    expect(await metric('parley_uploads_refused_total{limit="user"}')).toBe(1);
    await user.request('DELETE', `/api/v1/uploads/${String(body['id'])}`);
    expect((await user.create('a.pdf', 1)).status).toBe(201);
  });

  it('over the number of unfinished ones, also when they begin at once', async () => {
    const user = somebody();
    const answers = await Promise.all(Array.from({ length: 4 }, () => user.create('a.pdf', 1000)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 201, 201, 409]);
    expect(await metric('parley_uploads_refused_total{limit="open"}')).toBe(1);
  });

  it('with content that its name contradicts, or of a type that is not taken', async () => {
    const html = Buffer.from('<!doctype html><title>x</title><script>alert(1)</script>');
    const exe = Buffer.concat([Buffer.from('MZ'), Buffer.alloc(5000, 1)]);
    for (const [name, content] of [
      ['photo.png', html],
      ['photo.png', pdf(9000)],
      ['page.html', png],
      ['setup.exe', exe],
      ['data.bin', Buffer.alloc(6000, 0x81)],
    ] as const) {
      const user = somebody();
      const begun = await user.create(name, content.byteLength);
      const { status, body } = await user.append(String(begun.body['id']), 0, content);
      expect([name, status, body['code']]).toEqual([name, 415, 'unsupported_type']);
      expect((await user.head(String(begun.body['id']))).status).toBe(404);
    }
    // the content decides when the last byte is there, if the first request had too few
    const user = somebody();
    const id = String((await user.create('photo.png', html.byteLength)).body['id']);
    expect((await user.append(id, 0, html.subarray(0, 9))).status).toBe(204);
    expect((await user.append(id, 9, html.subarray(9))).status).toBe(415);
  });

  it('without a length, with a length of zero, and with one that is no number', async () => {
    const user = somebody();
    for (const length of ['0', '-1', '1e3', '9'.repeat(20), '0x10', '']) {
      expect([length, (await user.create('a.pdf', length)).status]).toEqual([length, 400]);
    }
    expect((await user.create('a.pdf', 10, { 'upload-defer-length': '1' })).status).toBe(400);
  });

  it('with a name that is a path, or that cannot be shown', async () => {
    const user = somebody();
    for (const name of ['../../etc/passwd', '..', 'a/b.pdf', 'a\\b.pdf', 'a\0.pdf', 'a\r\nX: y', '', 'x'.repeat(256)]) {
      expect([name, (await user.create(name, 10)).status]).toEqual([name, 400]);
    }
    const none = await user.request('POST', '/api/v1/uploads', { headers: { 'upload-length': '10' } });
    expect(none.status).toBe(400);
    expect(readdirSync(folder).every((name) => /^[0-9a-f-]{36}(\.json)?$/.test(name))).toBe(true);
  });

  it('at a wrong offset, with more bytes than it has, and in another form', async () => {
    const user = somebody();
    const id = String((await user.create('a.pdf', 1000)).body['id']);
    const code = async (...[offset, body, more]: [number | string, Uint8Array, Record<string, string>?]) => {
      const answer = await user.append(id, offset, body, more);
      return [answer.status, answer.body['code']];
    };
    expect(await code(5, pdf(10))).toEqual([409, 'wrong_offset']);
    expect(await code('x', pdf(10))).toEqual([400, 'invalid']);
    expect(await code(0, pdf(1001))).toEqual([413, 'too_large']);
    expect(await code(0, pdf(10), { 'content-type': 'text/plain' })).toEqual([415, 'unsupported_type']);
    expect(await code(0, pdf(10), { 'tus-resumable': '0.2.2' })).toEqual([412, 'precondition_failed']);
    expect((await user.head(id)).headers.get('upload-offset')).toBe('0');
    // a body without a length
    const parts = [pdf(600), pdf(600)];
    const unmeasured = new ReadableStream<Uint8Array>({
      pull(controller) {
        const part = parts.shift();
        if (part === undefined) controller.close();
        else controller.enqueue(part);
      },
    });
    expect((await user.append(id, 0, unmeasured)).status).toBe(413);
    expect(Number((await user.head(id)).headers.get('upload-offset'))).toBeLessThan(1000);
  });

  it('of another user, and without a token', async () => {
    const id = String((await somebody().create('a.pdf', 1000)).body['id']);
    for (const method of ['HEAD', 'GET', 'DELETE']) {
      expect((await stranger.request(method, `/api/v1/uploads/${id}`)).status).toBe(404);
    }
    expect((await stranger.append(id, 0, pdf(1000))).status).toBe(404);
    expect((await stranger.append(id, 1000, pdf(10))).status).toBe(404);
    const anonymous = await fetch(`${server.url}/api/v1/uploads`, {
      method: 'POST',
      headers: { 'upload-length': '10' },
    });
    expect(anonymous.status).toBe(401);
  });
});

describe('a link', () => {
  it('is refused after its end, with another signature, name, end or file', async () => {
    const { id } = await posted();
    const { id: other } = await posted();
    const { url } = await ann.link(id);
    const forged = [
      url.replace(/signature=./, (text) => `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'A'}`),
      url.replace(/signature=.*/, 'signature='),
      url.replace(/\?.*/, ''),
      url.replace('plan.pdf', 'plan.html'),
      url.replace(/expires=\d+/, 'expires=99999999999999'),
      url.replace(/expires=\d+/, 'expires=1'),
      url.replace(id, other),
      url.replace('plan.pdf', '%2e%2e%2fplan.pdf'),
      `${server.url}/files/`,
    ];
    for (const one of forged) expect([one, (await fetch(one)).status]).toEqual([one, 403]);
    const post = await fetch(url, { method: 'POST' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
    const path = new URL(url);
    path.pathname = '/files/..%2f..%2fetc%2fpasswd/plan.pdf';
    expect((await fetch(path)).status).toBe(403);
    const early = new SignedLinks({ secret, linkMs: 60_000, now: () => Date.now() - 120_000 });
    const expired = await fetch(`${server.url}${early.make(id, 'plan.pdf').url}`);
    expect([expired.status, await expired.json()]).toMatchObject([
      403,
      { detail: 'The link has expired; get another one.' },
    ]);
    expect(await metric('parley_file_reads_total{outcome="expired"}')).toBe(1);
    const read = await fetch(url);
    expect(read.status).toBe(200);
    await read.arrayBuffer();
  });
});

describe('a page of another origin', () => {
  it('may ask for a range of a file that it has in part', async () => {
    const { id } = await posted();
    const { url } = await ann.link(id);
    const { origin } = new URL(server.url);
    const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin } });
    expect([preflight.status, Object.fromEntries(preflight.headers)]).toMatchObject([
      204,
      {
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'GET, HEAD',
        'access-control-allow-headers': expect.stringMatching(/If-None-Match.*Range.*If-Range/) as unknown,
      },
    ]);
    const read = await fetch(url, { headers: { origin, range: 'bytes=0-8', 'if-range': `"${id}"` } });
    expect([read.status, (await read.arrayBuffer()).byteLength]).toEqual([206, 9]);
    expect(read.headers.get('access-control-expose-headers')).toMatch(/Accept-Ranges.*Content-Range/);
  });
});

describe('the tus protocol', () => {
  it('is found out by OPTIONS, also from a page of an allowed origin', async () => {
    const origin = new URL(server.url).origin;
    const answer = await fetch(`${server.url}/api/v1/uploads`, { method: 'OPTIONS', headers: { origin } });
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'tus-version': '1.0.0',
      'tus-extension': 'creation,creation-with-upload,termination,expiration',
      'tus-max-size': '100000',
      'access-control-allow-origin': origin,
      'access-control-allow-headers': expect.stringContaining('Upload-Offset') as unknown,
    });
    const begun = await somebody().create('a.pdf', 10, { origin });
    expect(begun.headers.get('access-control-expose-headers')).toMatch(/Location.*Tus-Resumable.*Upload-Offset/);
    const foreign = await somebody().create('a.pdf', 10, { origin: 'https://elsewhere.example' });
    expect(foreign.status).toBe(403);
  });
});
