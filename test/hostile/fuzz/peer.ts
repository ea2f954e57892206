/** A socket beneath every library: HTTP and WebSocket read by hand, what was sent is remembered for the report. */
import { connect, type Socket } from 'node:net';

const patienceMs = 30_000;
const remembered = 64 * 1024;

export class Peer {
  readonly socket: Socket;
  /** How it ended: `close 4400`, `status 400`, `dropped`; undefined while it lasts. */
  ended: string | undefined;
  /** Answers of HTTP that are whole: their statuses, and the last body. */
  readonly statuses: number[] = [];
  lastBody = '';
  /** Receives each WebSocket message. */
  onMessage: (data: Buffer, isBinary: boolean) => void = () => {};
  upgraded = false;
  #closeCode: number | undefined;
  #sent: Buffer[] = [];
  #sentBytes = 0;
  #unread: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #connected = false;

  constructor(port: number, localAddress: string) {
    this.socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true });
    this.socket.on('connect', () => {
      this.#connected = true;
      this.#changed();
    });
    this.socket.on('data', (part: Buffer) => {
      this.#unread = this.#unread.length === 0 ? part : Buffer.concat([this.#unread, part]);
      while (this.upgraded ? this.#readFrame() : this.#readAnswer());
      this.#changed();
    });
    this.socket.on('end', () => this.#end());
    this.socket.on('error', () => {}); // close follows
    this.socket.on('close', () => this.#end());
  }

  write(bytes: Buffer | string): void {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    this.#sent.push(buffer);
    this.#sentBytes += buffer.length;
    while (this.#sentBytes > remembered && this.#sent.length > 1) this.#sentBytes -= this.#sent.shift()?.length ?? 0;
    if (!this.socket.destroyed && !this.socket.writableEnded) this.socket.write(buffer);
  }

  /** Resolves with the condition, or with false when the server ended it first. */
  async until(what: string, condition: () => boolean): Promise<boolean> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.socket.destroy();
    }, patienceMs);
    try {
      while (!condition()) {
        if (late) throw new Error(`waited in vain until ${what}; ${this.sent()}`);
        if (this.ended !== undefined) return false;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      return true;
    } finally {
      clearTimeout(timer);
    }
  }

  connected(): Promise<boolean> {
    return this.until('it is connected', () => this.#connected);
  }

  /** Half-closes; the server must let go then. */
  async finish(): Promise<void> {
    if (!this.socket.destroyed) this.socket.end();
    await this.until('the server closes what its client has closed', () => false);
    this.socket.destroy();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** The last sent bytes, for a report. */
  sent(): string {
    const bytes = Buffer.concat(this.#sent);
    return `sent ${bytes.length} bytes: ${bytes.toString('latin1').slice(-2000)}\nhex: ${bytes.subarray(-4000).toString('hex')}`;
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #end(): void {
    const code = this.#closeCode;
    const status = this.statuses.at(-1);
    const answer = status === undefined || this.upgraded ? 'dropped' : `status ${status}`;
    this.ended ??= code === undefined ? answer : `close ${code}`;
    if (!this.socket.destroyed) this.socket.destroy();
    this.#changed();
  }

  #readAnswer(): boolean {
    const end = this.#unread.indexOf('\r\n\r\n');
    if (end === -1) return false;
    const head = this.#unread.subarray(0, end).toString('latin1');
    const status = Number(head.slice(9, 12));
    const length = status === 101 ? 0 : Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#unread.length < end + 4 + length) return false;
    this.lastBody = this.#unread.subarray(end + 4, end + 4 + length).toString('utf8');
    this.#unread = this.#unread.subarray(end + 4 + length);
    this.statuses.push(status);
    if (status === 101) this.upgraded = true;
    return true;
  }

  #readFrame(): boolean {
    const bytes = this.#unread;
    const short = (bytes[1] ?? 0) & 127;
    const at = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < at) return false;
    const size = short < 126 ? short : bytes.readUIntBE(short === 126 ? 2 : 4, short === 126 ? 2 : 6);
    if (bytes.length < at + size) return false;
    const payload = bytes.subarray(at, at + size);
    this.#unread = bytes.subarray(at + size);
    const opcode = (bytes[0] ?? 0) & 15;
    if (opcode === 8) this.#closeCode = size >= 2 ? payload.readUInt16BE(0) : 1005;
    else if (opcode === 1 || opcode === 2) this.onMessage(payload, opcode === 2);
    return true;
  }
}
