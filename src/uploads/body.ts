/**
 * The body of a request that sends bytes of an upload. Its first bytes can be read before the store takes the body. A client
 * that is cut off ends the body early, without an error. So the store keeps the bytes that arrived, and the client goes on
 * from there. `failure` has the error.
 */
export class UploadBody {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #first: Uint8Array[] = [];
  #received = 0;
  #failure: Error | undefined;
  #ended = false;

  constructor(body: ReadableStream<Uint8Array> | null) {
    this.#reader = body?.getReader();
    this.#ended = body === null;
  }

  /** Bytes that arrived so far. */
  get received(): number {
    return this.#received;
  }

  /** Why the body ended early. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** The first bytes, at least so many if the body has them. */
  async first(bytes: number): Promise<Uint8Array> {
    while (this.#received < bytes) {
      const part = await this.#next();
      if (part === undefined) break;
      this.#first.push(part);
    }
    return Buffer.concat(this.#first);
  }

  /** The whole body, with the bytes that `first` has read. */
  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const part = this.#first.shift() ?? (await this.#next());
          if (part === undefined) controller.close();
          else controller.enqueue(part);
        },
      },
      { highWaterMark: 0 },
    );
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (this.#ended || this.#reader === undefined) return undefined;
    try {
      const { done, value } = await this.#reader.read();
      if (done) this.#ended = true;
      else this.#received += value.byteLength;
      return value;
    } catch (error) {
      this.#ended = true;
      this.#failure = error instanceof Error ? error : new Error('The body ended early.', { cause: error });
      return undefined;
    }
  }
}
