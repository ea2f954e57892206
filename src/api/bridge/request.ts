/**
 * A `Request` of the parts that uWS gives in the turn of the request. The form is the part of the interface that Hono and
 * handlers use. `clone`, `new Request(request)`, and Hono's `mount` and `bodyLimit` need a request of Node and are absent.
 */
import type { LightHeaders } from './headers.ts';
import { NodeResponse } from './response.ts';
import type { RequestBody } from './body.ts';

const decoder = new TextDecoder();

export class LightRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: LightHeaders;
  readonly #source: RequestBody | undefined;
  #used = false;
  #stream: ReadableStream<Uint8Array> | undefined;
  #abort: AbortController | undefined;
  #aborted: DOMException | undefined;

  constructor(method: string, url: string, headers: LightHeaders, body: RequestBody | undefined) {
    this.method = method;
    this.url = url;
    this.headers = headers;
    this.#source = body;
  }

  /** Aborts when the client goes. Made on the first use, because few handlers need a signal. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#aborted !== undefined) this.#abort.abort(this.#aborted);
    }
    return this.#abort.signal;
  }

  get bodyUsed(): boolean {
    return this.#used;
  }

  /** The body in parts, with back-pressure on the socket. Null for a request without a body. */
  get body(): ReadableStream<Uint8Array> | null {
    const source = this.#source;
    if (source === undefined) return null;
    this.#stream ??= new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          this.#used = true;
          const part = await source.next();
          if (part === undefined) controller.close();
          else controller.enqueue(part);
        },
        cancel: () => source.drop(),
      },
      { highWaterMark: 0 },
    );
    return this.#stream;
  }

  async text(): Promise<string> {
    return decoder.decode(await this.#collect());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  async bytes(): Promise<Uint8Array> {
    return this.#collect();
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const { buffer, byteOffset, byteLength } = await this.#collect();
    return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  }

  async blob(): Promise<Blob> {
    return (await this.#whole()).blob();
  }

  async formData(): Promise<FormData> {
    return (await this.#whole()).formData();
  }

  /** The client is gone. */
  abort(reason: DOMException): void {
    this.#aborted = reason;
    this.#abort?.abort(reason);
  }

  async #collect(): Promise<Buffer> {
    if (this.#used || this.#stream !== undefined) throw new TypeError('The body of the request has been read.');
    this.#used = true;
    return this.#source === undefined ? Buffer.alloc(0) : this.#source.collect();
  }

  async #whole(): Promise<Response> {
    return new NodeResponse((await this.#collect()) as Uint8Array<ArrayBuffer>, {
      headers: { 'content-type': this.headers.get('content-type') ?? '' },
    });
  }
}
