/**
 * The tus protocol, version 1.0, by `@tus/server`: the offsets, the lengths, and the writes to the store. The caller has
 * checked who sends the request and which upload it is for.
 */
import { Server } from '@tus/server';
import { ParleyError } from '../protocol/errors.ts';
import { RestError } from '../protocol/rest-errors.ts';
import type { UploadLocks } from './locks.ts';
import type { UploadStore } from './store.ts';

export const tusVersion = '1.0.0';
export const tusExtensions = 'creation,creation-with-upload,termination,expiration';

/** The headers that the protocol reads. */
const read = [
  'tus-resumable',
  'upload-length',
  'upload-offset',
  'upload-metadata',
  'upload-defer-length',
  'upload-concat',
  'content-type',
  'content-length',
] as const;

export interface ProtocolRequest {
  readonly method: 'POST' | 'HEAD' | 'PATCH';
  readonly id: string;
  readonly header: (name: string) => string | undefined;
  readonly body?: ReadableStream<Uint8Array>;
}

/** The part of a Request that the server of the protocol uses. */
interface ServedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

export class TusProtocol {
  readonly #server: Server;
  readonly #path: string;
  /** The upload of each request that runs. */
  readonly #ids = new WeakMap<object, string>();
  readonly #errors = new WeakMap<object, unknown>();

  constructor(
    store: Pick<UploadStore, 'protocol'>,
    { path, maxBytes, locks }: { readonly path: string; readonly maxBytes: number; readonly locks: UploadLocks },
  ) {
    this.#path = path;
    this.#server = new Server({
      path,
      datastore: store.protocol,
      locker: locks,
      maxSize: maxBytes,
      // behind a proxy the server does not know its own address
      relativeLocation: true,
      // a request that another one replaces ends at once, with the bytes that arrived
      lockDrainTimeout: 1,
      namingFunction: (request) => this.#ids.get(request) ?? '',
      onResponseError: (request, error) => void this.#errors.set(request, error),
    });
  }

  /** @returns the headers of the answer @throws {ParleyError} */
  async serve({ method, id, header, body }: ProtocolRequest): Promise<Headers> {
    if (method !== 'HEAD' && header('tus-resumable') !== tusVersion) {
      throw new RestError('precondition_failed', `Tus-Resumable: expected ${tusVersion}.`);
    }
    const headers = new Headers();
    for (const name of read) {
      const value = header(name);
      if (value !== undefined) headers.set(name, value);
    }
    // the protocol asks for this header of its own clients; others may read the state of an upload
    if (method === 'HEAD') headers.set('tus-resumable', tusVersion);
    const url = `http://localhost${this.#path}${method === 'POST' ? '' : `/${id}`}`;
    const request: ServedRequest = { method, url, headers, body: body ?? null };
    this.#ids.set(request, id);
    const response = await this.#server.handleWeb(request as unknown as Request);
    if (response.status < 300) return response.headers;
    throw errorOf(response.status, this.#errors.get(request), await response.text());
  }
}

function errorOf(status: number, thrown: unknown, text: string): Error {
  if (thrown instanceof ParleyError) return thrown;
  switch (status) {
    case 400:
    case 403:
      return new ParleyError('invalid', `The request is not one of the tus protocol: ${text.trim()}.`);
    case 404:
      return new ParleyError('not_found');
    case 409:
      return new RestError('wrong_offset');
    case 410:
      return new RestError('gone', 'The upload has expired; begin another one.');
    case 413:
      return new ParleyError('too_large', 'The request has more bytes than the upload or the server takes.');
    case 501:
      return new RestError('unsupported', 'The length of an upload has to be known when it begins.');
    default:
      return new Error(`The store of uploads failed: ${text.trim()}`, { cause: thrown });
  }
}
