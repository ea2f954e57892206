/**
 * Uploads in a bucket of S3, or of a server with the same protocol. A part of 8 MiB is a part of a multipart upload; the rest
 * of a request waits in an object of its own. The parts pass through files of the temporary folder of the machine.
 */
import { S3Store } from '@tus/s3-store';
import { LRUCache } from 'lru-cache';
import type { UploadStore } from './store.ts';

export interface S3Settings {
  readonly bucket: string;
  readonly region: string;
  readonly endpoint: string | undefined;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Many servers of the protocol do not know the checksums that the client of Amazon adds to each request. */
const plain = { requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' } as const;

const partSize = 8 * 1024 * 1024;
/** Uploads whose description stays in memory. */
const known = 1000;

type Options = ConstructorParameters<typeof S3Store>[0];
type Descriptions = NonNullable<Options['cache']>;
type Description = Parameters<Descriptions['set']>[1];

class BucketStore extends S3Store implements UploadStore {
  readonly protocol = this;

  async open(id: string, from: number, to: number): Promise<ReadableStream<Uint8Array>> {
    const { Body } = await this.client.getObject({ Bucket: this.bucket, Key: id, Range: `bytes=${from}-${to}` });
    if (Body === undefined) throw new Error('The S3 store answered without a body.');
    return Body.transformToWebStream() as ReadableStream<Uint8Array>;
  }

  async first(id: string, bytes: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const part of await this.open(id, 0, bytes - 1)) parts.push(part);
    return Buffer.concat(parts);
  }

  async discard(id: string): Promise<void> {
    try {
      await this.remove(id);
    } catch (error) {
      // the multipart upload has ended, or another attempt has removed the objects
      if (!isMissing(error)) throw error;
    }
    const objects = [id, this.infoKey(id), this.partKey(id, true)];
    for (const Key of objects) await this.client.deleteObject({ Bucket: this.bucket, Key });
    await this.clearCache(id);
  }

  close(): void {
    this.client.destroy();
  }
}

export function openS3Store(settings: S3Settings, expirationMs: number): UploadStore {
  const { bucket, region, endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = settings;
  return new BucketStore({
    partSize,
    useTags: false,
    expirationPeriodInMilliseconds: expirationMs,
    cache: descriptions(),
    s3ClientConfig: {
      bucket,
      region,
      // other servers have no host name for each bucket
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true, ...plain }),
      credentials: { accessKeyId, secretAccessKey },
    },
  });
}

function descriptions(): Descriptions {
  const cache = new LRUCache<string, Description & object>({ max: known });
  return {
    get: (id) => Promise.resolve(cache.get(id)),
    set: (id, value) => Promise.resolve(void cache.set(id, value)),
    delete: (id) => Promise.resolve(void cache.delete(id)),
    list: () => Promise.resolve([...cache.keys()]),
  };
}

function isMissing(error: unknown): boolean {
  const { status_code: status, name } = error as { readonly status_code?: number; readonly name?: string };
  return status === 404 || name === 'NoSuchUpload' || name === 'NoSuchKey' || name === 'NotFound';
}
