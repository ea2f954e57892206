/**
 * A `Response` that keeps its parts as they came. Node's `Response` makes a stream of each text, which the bridge would read
 * again: 5,000 requests a second instead of 30,000. Hono takes the global `Response`, so `useLightResponse` replaces it.
 */
import { LightHeaders, type HeaderSource } from './headers.ts';

/** The class of Node, for bodies and methods that are rare. */
export const NodeResponse = globalThis.Response;

/** A body of parts, such as a live stream. The bridge ends the iteration when the client goes. */
export interface StreamContent extends AsyncIterable<string | Uint8Array> {
  /** The last part for a slow reader that the bridge cuts off, such as a line that says where to resume. */
  lastPart?(): string | Uint8Array | undefined;
}

export type Content = string | Uint8Array | ReadableStream<Uint8Array> | StreamContent | null;
type BodySource = ConstructorParameters<typeof NodeResponse>[0] | Uint8Array | StreamContent | LightBody;
interface Init {
  readonly status?: number;
  readonly statusText?: string;
  readonly headers?: unknown;
}

const withoutBody = new Set([204, 205, 304]);
const redirects = new Set([301, 302, 303, 307, 308]);

/** The `body` of a light response: a stream for callers that read it, and the content for a response made of it. */
export class LightBody {
  readonly content: Exclude<Content, null>;
  #stream: ReadableStream<Uint8Array> | undefined;

  constructor(content: Exclude<Content, null>) {
    this.content = content;
  }

  /** Whether somebody reads the stream, so that the content is gone. */
  get taken(): boolean {
    return this.#stream !== undefined;
  }

  get locked(): boolean {
    return this.#stream?.locked ?? false;
  }

  get stream(): ReadableStream<Uint8Array> {
    this.#stream ??= streamOf(this.content);
    return this.#stream;
  }

  getReader(...args: Parameters<ReadableStream<Uint8Array>['getReader']>): unknown {
    return this.stream.getReader(...args);
  }

  pipeThrough(...args: Parameters<ReadableStream<Uint8Array>['pipeThrough']>): unknown {
    return this.stream.pipeThrough(...args);
  }

  pipeTo(...args: Parameters<ReadableStream<Uint8Array>['pipeTo']>): Promise<void> {
    return this.stream.pipeTo(...args);
  }

  tee(): unknown {
    return this.stream.tee();
  }

  cancel(reason?: unknown): Promise<void> {
    return this.stream.cancel(reason);
  }

  values(): AsyncIterableIterator<Uint8Array> {
    return this.stream.values();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.values();
  }
}

export class LightResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: LightHeaders;
  readonly type = 'default';
  readonly url = '';
  readonly redirected = false;
  /** The response to the GET of which this one is the HEAD: Hono makes it as `new Response(null, response)`. */
  readonly source: LightResponse | undefined;
  #body: LightBody | null;
  #used = false;

  /** @throws {RangeError | TypeError} where the class of Node does. */
  constructor(body?: BodySource | null, init: Init = {}) {
    const status = init.status ?? 200;
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`${String(status)} is not the status of a response.`);
    }
    this.status = status;
    this.statusText = init.statusText ?? '';
    this.headers = new LightHeaders(init.headers as HeaderSource);
    this.source = LightResponse.isLight(init) ? init : undefined;
    if (body === undefined || body === null) {
      this.#body = null;
      return;
    }
    if (withoutBody.has(status)) throw new TypeError(`A response with status ${status} has no body.`);
    this.#body = this.#bodyOf(body);
  }

  static json(data: unknown, init: Init = {}): LightResponse {
    const headers = new LightHeaders(init.headers as HeaderSource);
    if (!headers.has('content-type')) headers.set('content-type', 'application/json');
    const text = JSON.stringify(data) as string | undefined;
    if (text === undefined) throw new TypeError('The value has no JSON.');
    return new LightResponse(text, { ...init, headers });
  }

  static redirect(url: string | URL, status = 302): LightResponse {
    if (!redirects.has(status)) throw new RangeError(`${status} is not the status of a redirect.`);
    return new LightResponse(null, { status, headers: { location: String(url) } });
  }

  static error(): Response {
    return NodeResponse.error();
  }

  /** Responses of `fetch` are instances too, as before `useLightResponse`. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && (#used in value || value instanceof NodeResponse);
  }

  static isLight(value: unknown): value is LightResponse {
    return typeof value === 'object' && value !== null && #used in value;
  }

  get ok(): boolean {
    return this.status < 300;
  }

  get body(): LightBody | null {
    return this.#body;
  }

  get bodyUsed(): boolean {
    return this.#used;
  }

  /** The content for the one writer of the answer. @throws {TypeError} if somebody has read the body. */
  take(): Content {
    if (this.#used || this.#body?.locked === true) throw new TypeError('The body of the response has been read.');
    this.#used = true;
    return this.#body === null || !this.#body.taken ? (this.#body?.content ?? null) : this.#body.stream;
  }

  clone(): LightResponse {
    const content = this.#body === null ? null : this.#body.content;
    if (this.#used) throw new TypeError('The body of the response has been read.');
    if (content === null || typeof content === 'string' || content instanceof Uint8Array) {
      return new LightResponse(content, this);
    }
    const [own, other] = (this.#body as LightBody).stream.tee();
    this.#body = new LightBody(own);
    return new LightResponse(other, this);
  }

  text(): Promise<string> {
    return this.#whole().text();
  }

  json(): Promise<unknown> {
    return this.#whole().json();
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#whole().arrayBuffer();
  }

  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.arrayBuffer());
  }

  blob(): Promise<Blob> {
    return this.#whole().blob();
  }

  formData(): Promise<FormData> {
    return this.#whole().formData();
  }

  #whole(): Response {
    const content = this.take();
    const body = isStreamContent(content) ? streamOf(content) : content;
    return new NodeResponse(body as ConstructorParameters<typeof NodeResponse>[0], {
      headers: [...this.headers],
    });
  }

  #bodyOf(body: NonNullable<BodySource>): LightBody {
    if (typeof body === 'string') {
      if (!this.headers.has('content-type')) this.headers.set('content-type', 'text/plain;charset=UTF-8');
      return new LightBody(body);
    }
    if (body instanceof LightBody) {
      if (body.locked) throw new TypeError('The body of the response has been read.');
      return body.taken ? new LightBody(body.stream) : body;
    }
    if (body instanceof Uint8Array) return new LightBody(body);
    if (body instanceof ArrayBuffer) return new LightBody(new Uint8Array(body));
    if (body instanceof ReadableStream || isStreamContent(body)) {
      return new LightBody(body as ReadableStream<Uint8Array> | StreamContent);
    }
    // blobs and forms bring a type of their content
    const whole = new NodeResponse(body as ConstructorParameters<typeof NodeResponse>[0]);
    const type = whole.headers.get('content-type');
    if (type !== null && !this.headers.has('content-type')) this.headers.set('content-type', type);
    return new LightBody(whole.body as ReadableStream<Uint8Array>);
  }
}

/** Makes `new Response` of this process a light response. Hono has no other seam. */
export function useLightResponse(): void {
  globalThis.Response = LightResponse as unknown as typeof NodeResponse;
}

function isStreamContent(value: unknown): value is StreamContent {
  return (
    typeof value === 'object' &&
    value !== null &&
    Symbol.asyncIterator in value &&
    !(value instanceof ReadableStream || value instanceof LightBody || value instanceof Blob)
  );
}

function streamOf(content: Exclude<Content, null>): ReadableStream<Uint8Array> {
  if (content instanceof ReadableStream) return content;
  if (!isStreamContent(content)) return new NodeResponse(content as string).body as ReadableStream<Uint8Array>;
  const parts = content[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(typeof value === 'string' ? new TextEncoder().encode(value) : value);
    },
    async cancel() {
      await parts.return?.();
    },
  });
}
