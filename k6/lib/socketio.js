// @ts-check
/**
 * A Socket.IO client for k6 on `k6/websockets`, for any Socket.IO server of version 3 or later. The client speaks Engine.IO
 * v4 over WebSocket and Socket.IO v5 packets as text, with acks and binary attachments. The client knows nothing of Parley.
 *
 *   const socket = new SocketIO('http://localhost:3000', { auth: { token } });
 *   socket.on('news', (data) => …);
 *   await socket.connect();
 *   const answer = await socket.emitWithAck('question', { a: 1 });
 *   socket.close();
 */
import { WebSocket } from 'k6/websockets';
import { now } from './clock.js';

/**
 * @typedef {object} SocketOptions
 * @property {string} [path] default `/socket.io/`
 * @property {Record<string, string>} [query] joins the handshake's query
 * @property {Record<string, unknown>} [auth] payload of CONNECT
 * @property {string} [namespace] default `/`
 * @property {Record<string, string>} [headers]
 * @property {number} [connectTimeoutMs] from the first byte to CONNECT's answer; default 15000
 * @property {number} [ackTimeoutMs] default 15000
 */

/**
 * @typedef {object} Waiting
 * @property {(value: unknown[]) => void} resolve
 * @property {(error: SocketError) => void} reject
 * @property {number} deadline
 */

/** The interval of the one timer of a socket: long, because thousands of sockets share one thread. */
const sweepMs = 4000;

/** `code`: `closed`, `timeout`, `connect_error`, or the code in the CONNECT_ERROR of the server. */
export class SocketError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {unknown} [data]
   */
  constructor(code, message, data) {
    super(message);
    this.name = 'SocketError';
    this.code = code;
    this.data = data;
  }
}

export class SocketIO {
  /** When the present frame came off the wire, as `now()` gives it: before the frame waited for this VU. */
  receivedAt = 0;
  /** The Socket.IO session, once connected. */
  sid = '';
  /** @type {(why: {code: number, reason: string}) => void} */
  onClose = () => {};
  /**
   * Reads each text frame before it is parsed, and returns true if the frame needs no parsing. JSON.parse of an event of 300
   * bytes takes k6 ten times as long as a regular expression, and a load generator does little else.
   * @type {((frame: string) => boolean) | undefined}
   */
  peek;
  /** @type {WebSocket | undefined} */
  #ws;
  /** @type {Map<string, ((...args: any[]) => void)[]>} */
  #listeners = new Map();
  /** @type {Map<number, Waiting>} */
  #acks = new Map();
  #nextAck = 1;
  #silenceMs = 45_000;
  #lastFrameAt = 0;
  #sweeper = 0;
  /** @type {{resolve: () => void, reject: (error: SocketError) => void} | undefined} */
  #connecting;
  #connectDeadline = 0;
  #connected = false;
  /** @type {{head: any[], kind: string, id: number | undefined, parts: ArrayBuffer[], wanted: number} | undefined} */
  #binary;
  /** @type {string} */
  #url;
  /** @type {Required<Omit<SocketOptions, 'path' | 'query'>>} */
  #options;

  /**
   * @param {string} url `http(s)://host[:port]`
   * @param {SocketOptions} [options]
   */
  constructor(url, options = {}) {
    const { path = '/socket.io/', query = {}, ...rest } = options;
    const more = Object.entries(query).map(
      ([key, value]) => `&${encodeURIComponent(key)}=${encodeURIComponent(value)}`,
    );
    this.#url = `${url.replace(/^http/, 'ws').replace(/\/$/, '')}${path}?EIO=4&transport=websocket${more.join('')}`;
    this.#options = { auth: {}, namespace: '/', headers: {}, connectTimeoutMs: 15_000, ackTimeoutMs: 15_000, ...rest };
  }

  get connected() {
    return this.#connected;
  }

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  on(event, listener) {
    const known = this.#listeners.get(event);
    if (known === undefined) this.#listeners.set(event, [listener]);
    else known.push(listener);
    return this;
  }

  /**
   * Opens the socket. A SocketIO connects once.
   * @returns {Promise<void>} settles with the answer to CONNECT; rejects with a SocketError
   */
  connect() {
    return new Promise((resolve, reject) => {
      this.#connecting = { resolve, reject };
      const ws = new WebSocket(this.#url, null, { headers: this.#options.headers, tags: { name: 'socket' } });
      ws.binaryType = /** @type {any} */ ('arraybuffer');
      this.#ws = ws;
      this.#connectDeadline = now() + this.#options.connectTimeoutMs;
      let failure = '';
      // the types name events by a const enum, which does not exist at run time
      const on = /** @type {(event: string, listener: (event: any) => void) => void} */ (
        (event, listener) => ws.addEventListener(/** @type {any} */ (event), listener)
      );
      on('message', (event) => this.#frame(event));
      on('error', ({ error = '' }) => {
        failure = error;
      });
      on('close', ({ code = 1006, reason = '' }) => this.#end(code, reason === '' ? failure : reason));
      this.#sweeper = setInterval(() => this.#sweep(), sweepMs);
    });
  }

  /**
   * @param {string} event
   * @param {...unknown} args may hold ArrayBuffers at any depth
   */
  emit(event, ...args) {
    this.#packet('2', '', [event, ...args]);
  }

  /**
   * @param {string} event
   * @param {...unknown} args
   * @returns {Promise<any>} the first argument of the ack; rejects with a SocketError `timeout` or `closed`
   */
  emitWithAck(event, ...args) {
    if (!this.#connected) return Promise.reject(new SocketError('closed', 'the socket is not connected'));
    const id = this.#nextAck++;
    return new Promise((resolve, reject) => {
      const deadline = now() + this.#options.ackTimeoutMs;
      this.#acks.set(id, { resolve: (values) => resolve(values[0]), reject, deadline });
      this.#packet('2', String(id), [event, ...args]);
    });
  }

  /** Closes the socket with a close frame. k6 cannot cut a socket without one. */
  close() {
    const ws = this.#ws;
    if (ws === undefined) return;
    if (ws.readyState === 1) ws.close(1000);
    this.#end(1000, 'closed by the client');
  }

  /** Bytes that are sent but not yet written to the network. */
  get bufferedBytes() {
    return this.#ws?.bufferedAmount ?? 0;
  }

  /** @param {{data: string | ArrayBuffer, timestamp: number}} event */
  #frame({ data, timestamp }) {
    if (this.#ws === undefined) return;
    this.receivedAt = timestamp;
    this.#lastFrameAt = timestamp;
    if (typeof data !== 'string') this.#attachment(data);
    else if (data === '2') this.#ws.send('3');
    else if (data[0] === '4') {
      if (!this.#isIgnored(data) && this.peek?.(data) !== true) this.#parse(data);
    } else if (data[0] === '0') {
      const { pingInterval, pingTimeout } = JSON.parse(data.slice(1));
      this.#silenceMs = pingInterval + pingTimeout;
      this.#ws.send(`40${this.#prefix()}${JSON.stringify(this.#options.auth)}`);
    } else if (data[0] === '1') this.close();
  }

  /**
   * Whether an event has no listener and needs no parsing: when a thousand users join one room, each receives an event of each.
   * @param {string} frame
   */
  #isIgnored(frame) {
    if (!frame.startsWith('42["')) return false;
    const name = frame.slice(4, frame.indexOf('"', 4));
    return !name.includes('\\') && !this.#listeners.has(name);
  }

  /** @param {string} frame */
  #parse(frame) {
    const kind = frame[1] ?? '';
    let at = 2;
    let wanted = 0;
    if (kind === '5' || kind === '6') {
      const dash = frame.indexOf('-', at);
      wanted = Number(frame.slice(at, dash));
      at = dash + 1;
    }
    if (frame[at] === '/') {
      const comma = frame.indexOf(',', at);
      at = comma === -1 ? frame.length : comma + 1;
    }
    const start = at;
    while (frame[at] !== undefined && frame.charCodeAt(at) >= 48 && frame.charCodeAt(at) <= 57) at++;
    const id = at > start ? Number(frame.slice(start, at)) : undefined;
    const body = at < frame.length ? JSON.parse(frame.slice(at)) : undefined;
    if (wanted > 0) this.#binary = { head: body, kind, id, parts: [], wanted };
    else this.#take(kind, id, body);
  }

  /** @param {ArrayBuffer} part */
  #attachment(part) {
    const whole = this.#binary;
    if (whole === undefined) return;
    whole.parts.push(part);
    if (whole.parts.length < whole.wanted) return;
    this.#binary = undefined;
    this.#take(whole.kind === '5' ? '2' : '3', whole.id, filled(whole.head, whole.parts));
  }

  /**
   * @param {string} kind
   * @param {number | undefined} id
   * @param {any} body
   */
  #take(kind, id, body) {
    if (kind === '2' || kind === '5') {
      for (const listener of this.#listeners.get(body[0]) ?? []) listener(...body.slice(1));
      if (id !== undefined) this.#packet('3', String(id), []);
    } else if ((kind === '3' || kind === '6') && id !== undefined) {
      const waiting = this.#acks.get(id);
      this.#acks.delete(id);
      waiting?.resolve(body);
    } else if (kind === '0') {
      this.sid = body?.sid ?? '';
      this.#connected = true;
      this.#connecting?.resolve();
      this.#connecting = undefined;
    } else if (kind === '4') {
      const code = body?.data?.code ?? 'connect_error';
      this.#connecting?.reject(new SocketError(code, body?.message ?? 'refused', body?.data));
      this.#connecting = undefined;
      this.close();
    } else if (kind === '1') this.close();
  }

  #prefix() {
    return this.#options.namespace === '/' ? '' : `${this.#options.namespace},`;
  }

  /**
   * @param {'2' | '3'} kind
   * @param {string} id
   * @param {unknown[]} args
   */
  #packet(kind, id, args) {
    const ws = this.#ws;
    if (ws === undefined || ws.readyState !== 1) return;
    /** @type {ArrayBuffer[]} */
    const parts = [];
    const text = JSON.stringify(emptied(args, parts));
    const type = parts.length === 0 ? kind : `${kind === '2' ? '5' : '6'}${parts.length}-`;
    ws.send(`4${type}${this.#prefix()}${id}${text}`);
    for (const part of parts) ws.send(part);
  }

  /** Ends all late waits of the socket, by one timer instead of one a command. */
  #sweep() {
    const time = now();
    if (this.#connecting !== undefined && time > this.#connectDeadline) {
      this.#connecting.reject(new SocketError('timeout', 'no answer to CONNECT came in time'));
      this.#connecting = undefined;
      this.close();
      return;
    }
    for (const [id, waiting] of this.#acks) {
      if (waiting.deadline > time) break; // the acks are in the order of their deadlines
      this.#acks.delete(id);
      waiting.reject(new SocketError('timeout', 'no ack came in time'));
    }
    if (this.#connected && time - this.#lastFrameAt > this.#silenceMs) this.close();
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (this.#ws === undefined) return;
    this.#ws = undefined;
    this.#connected = false;
    clearInterval(this.#sweeper);
    const error = new SocketError('closed', `closed with ${code} ${reason}`);
    const lost = [...this.#acks.values()];
    this.#acks.clear();
    for (const waiting of lost) waiting.reject(error);
    this.#connecting?.reject(error);
    this.#connecting = undefined;
    this.onClose({ code, reason });
  }
}

/**
 * @param {any} value
 * @param {ArrayBuffer[]} parts gathers the binary of the value
 * @returns {any} the value with a placeholder for each
 */
function emptied(value, parts) {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(value)
      ? value
      : { buffer: value, byteOffset: 0, byteLength: value.byteLength };
    parts.push(/** @type {ArrayBuffer} */ (buffer.slice(byteOffset, byteOffset + byteLength)));
    return { _placeholder: true, num: parts.length - 1 };
  }
  if (Array.isArray(value)) return value.map((one) => emptied(one, parts));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, emptied(one, parts)]));
}

/**
 * @param {any} value
 * @param {ArrayBuffer[]} parts
 * @returns {any}
 */
function filled(value, parts) {
  if (value === null || typeof value !== 'object') return value;
  if (value._placeholder === true) return parts[value.num];
  if (Array.isArray(value)) return value.map((one) => filled(one, parts));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filled(one, parts)]));
}
