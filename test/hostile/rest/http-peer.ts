/** A client of HTTP/1.1 that writes bytes as they are, and reads whole answers. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  /** The head as it came. */
  readonly head: string;
}

const answerWithinMs = 30_000;

export class HttpPeer {
  readonly #port: number;
  readonly #address: string;
  #socket: Socket | undefined;
  #received = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  /** @param address one of this machine's own, to come from */
  constructor(port: number, address: string) {
    this.#port = port;
    this.#address = address;
  }

  write(bytes: string | Uint8Array): void {
    this.#open().write(bytes);
  }

  /** @param method decides whether the answer has a body @returns undefined: the server has closed the connection */
  async answer(method: string): Promise<RawAnswer | undefined> {
    const socket = this.#open();
    for (;;) {
      const answer = this.#take(method);
      if (answer !== undefined) {
        if (answer.headers.get('connection') === 'close') this.close();
        return answer;
      }
      if (socket.closed || this.#socket !== socket) {
        this.close();
        return undefined;
      }
      await this.#more();
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#received = Buffer.alloc(0);
  }

  /** Ends the connection with RST. */
  reset(): void {
    this.#socket?.resetAndDestroy();
    this.close();
  }

  async connected(): Promise<void> {
    const socket = this.#open();
    if (socket.connecting) await once(socket, 'connect');
  }

  #open(): Socket {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket;
    this.close();
    const socket = connect({ port: this.#port, host: '127.0.0.1', localAddress: this.#address });
    const wake = (): void => this.#wake?.();
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      if (this.#socket !== socket) return;
      this.#received = Buffer.concat([this.#received, bytes]);
      wake();
    });
    // a connection that is cut with bytes on the way ends with an error
    socket.on('error', () => socket.destroy()).on('close', wake);
    this.#socket = socket;
    return socket;
  }

  async #more(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => {
        this.close();
        reject(new Error(`no answer within ${answerWithinMs} ms`));
      }, answerWithinMs);
      this.#wake = resolve;
    });
    clearTimeout(timer);
  }

  #take(method: string): RawAnswer | undefined {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    const head = this.#received.toString('latin1', 0, end);
    const [line = '', ...lines] = head.split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1] ?? NaN);
    if (Number.isNaN(status)) throw new Error(`the answer is no HTTP: ${head.slice(0, 200)}`);
    const headers = new Headers();
    for (const one of lines) headers.append(one.slice(0, one.indexOf(':')), one.slice(one.indexOf(':') + 1).trim());
    const from = end + 4;
    if (method === 'HEAD' || status === 204 || status === 304) return this.#taken({ status, headers, head }, from, '');
    if (headers.get('transfer-encoding') === 'chunked') {
      const chunks = chunksOf(this.#received, from);
      return chunks === undefined ? undefined : this.#taken({ status, headers, head }, chunks.end, chunks.body);
    }
    const length = Number(headers.get('content-length') ?? 0);
    if (this.#received.length < from + length) return undefined;
    return this.#taken({ status, headers, head }, from + length, this.#received.toString('utf8', from, from + length));
  }

  #taken(answer: Omit<RawAnswer, 'body'>, end: number, body: string): RawAnswer {
    this.#received = this.#received.subarray(end);
    return { ...answer, body };
  }
}

/** @returns undefined: the last chunk has not come */
function chunksOf(bytes: Buffer, from: number): { body: string; end: number } | undefined {
  const parts: Buffer[] = [];
  for (let at = from; ;) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    const end = line + 2 + size + 2;
    if (bytes.length < end) return undefined;
    if (size === 0) return { body: Buffer.concat(parts).toString(), end };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = end;
  }
}
