/** Requests of the tus protocol, written by hand. */
import { tokenOf } from '../support/server.ts';

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Asking {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | ReadableStream<Uint8Array>;
  readonly tus?: boolean;
}

/** A file that is a PDF by its first bytes. */
export function pdf(bytes: number, fill = 0x20): Uint8Array {
  const file = Buffer.alloc(bytes, fill);
  file.write('%PDF-1.7\n');
  return file;
}

export const png: Uint8Array = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
  'base64',
);

export class Uploader {
  readonly #url: string;
  readonly user: string;

  constructor(url: string, user: string) {
    this.#url = url;
    this.user = user;
  }

  async request(method: string, path: string, { headers = {}, body, tus = true }: Asking = {}): Promise<Answered> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await tokenOf(this.user)}`,
        ...(tus ? { 'tus-resumable': '1.0.0' } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body, duplex: 'half' }),
    } as RequestInit);
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? {} : (JSON.parse(text) as Answered['body']),
    };
  }

  create(name: string, bytes: number | string, more: Readonly<Record<string, string>> = {}): Promise<Answered> {
    const metadata = `filename ${Buffer.from(name).toString('base64')}`;
    return this.request('POST', '/api/v1/uploads', {
      headers: { 'upload-length': String(bytes), 'upload-metadata': metadata, ...more },
    });
  }

  append(
    id: string,
    offset: number | string,
    body: Asking['body'],
    more: Readonly<Record<string, string>> = {},
  ): Promise<Answered> {
    return this.request('PATCH', `/api/v1/uploads/${id}`, {
      headers: { 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream', ...more },
      ...(body === undefined ? {} : { body }),
    });
  }

  head(id: string): Promise<Answered> {
    return this.request('HEAD', `/api/v1/uploads/${id}`);
  }

  /** A whole upload. @returns its id */
  async upload(name: string, file: Uint8Array): Promise<string> {
    const begun = await this.create(name, file.byteLength);
    const id = String(begun.body['id']);
    const { status, body } = await this.append(id, 0, file);
    if (begun.status !== 201 || status !== 204)
      throw new Error(`${name}: ${begun.status} ${status} ${JSON.stringify(body)}`);
    return id;
  }

  async link(id: string): Promise<Answered & { readonly url: string }> {
    const answered = await this.request('GET', `/api/v1/uploads/${id}/link`, { tus: false });
    return { ...answered, url: `${this.#url}${String(answered.body['url'])}` };
  }
}
