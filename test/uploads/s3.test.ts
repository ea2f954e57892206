/** Uploads in a bucket: the same requests as in a folder, against a server that speaks the protocol of S3. */
import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { startS3 } from './s3-server.ts';
import { pdf, Uploader } from './tus.ts';

const s3 = await startS3('parley');
afterAll(() => s3?.stop());

describe.skipIf(s3 === undefined)(
  'a bucket (left out where the machine has neither versitygw nor moto_server)',
  async () => {
    if (s3 === undefined) return;
    const { server, people, room } = await stage({
      people: ['owner', 'ann'],
      config: {
        PARLEY_LOG_LEVEL: 'error',
        PARLEY_UPLOAD_STORE: 's3',
        PARLEY_UPLOAD_BUCKET: 'parley',
        PARLEY_UPLOAD_ENDPOINT: s3.url,
        PARLEY_UPLOAD_ACCESS_KEY: s3.accessKey,
        PARLEY_UPLOAD_SECRET_KEY: s3.secretKey,
        PARLEY_UPLOAD_SECRET: 'a secret of the tests, long enough for links',
      },
    });
    const owner = new Uploader(server.url, 'owner');
    const ann = new Uploader(server.url, 'ann');

    it('keeps files in parts and reads them by ranges', async () => {
      const hall = await room();
      const file = pdf(9 * 1024 * 1024 + 1, 7);
      const id = String((await owner.create('plan.pdf', file.byteLength)).body['id']);
      // less than a part, then more than a part, then the rest
      const cuts = [0, 100_000, 8_900_000, file.byteLength];
      for (const [i, from] of cuts.slice(0, -1).entries()) {
        const sent = await owner.append(id, from, file.subarray(from, cuts[i + 1]));
        expect([sent.status, sent.headers.get('upload-offset')]).toEqual([204, String(cuts[i + 1])]);
        expect((await owner.head(id)).headers.get('upload-offset')).toBe(String(cuts[i + 1]));
      }
      const body = { files: [{ upload: id, name: 'plan.pdf', type: 'application/pdf', bytes: file.byteLength }] };
      const { seq } = await people.owner.ok('message:send', { room: hall, id: randomUUID(), body });
      const { url } = await ann.link(id);
      const whole = await fetch(url);
      expect(Buffer.from(await whole.arrayBuffer()).equals(file)).toBe(true);
      const part = await fetch(url, { headers: { range: 'bytes=8388600-8388615' } });
      expect([part.status, part.headers.get('content-range')]).toEqual([
        206,
        `bytes 8388600-8388615/${file.byteLength}`,
      ]);
      expect(Buffer.from(await part.arrayBuffer()).equals(file.subarray(8388600, 8388616))).toBe(true);

      expect(await s3.objects()).toEqual([id, `${id}.info`]);
      await people.owner.ok('message:delete', { room: hall, seq });
      expect((await fetch(url)).status).toBe(404);
      expect((await owner.request('DELETE', `/api/v1/uploads/${id}`)).status).toBe(204);
      expect(await s3.objects()).toEqual([]);
    });

    it('removes the parts of an upload that its owner ends', async () => {
      const id = String((await owner.create('plan.pdf', 1_000_000)).body['id']);
      expect((await owner.append(id, 0, pdf(400_000))).status).toBe(204);
      expect(await s3.objects()).toEqual([`${id}.info`, `${id}.part`]);
      expect((await owner.request('DELETE', `/api/v1/uploads/${id}`)).status).toBe(204);
      expect([await s3.objects(), await s3.unfinished()]).toEqual([[], 0]);
      expect((await owner.head(id)).status).toBe(404);
    });
  },
);
