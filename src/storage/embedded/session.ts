/**
 * Shares PGlite's single session between clients that each believe to have a server connection.
 *
 * The bytes of a client are cut into messages. The session sends groups that end with Sync, Flush or a simple query, because
 * Postgres answers only there. The session then belongs to that client until its group was answered, no transaction
 * is open, and nothing waits for a Sync. Otherwise the next client would replace an unnamed statement that was parsed before
 * a Flush, and one client would get the row of the other.
 *
 * Clients still share the state that a session keeps outside transactions: SET, session advisory locks, temporary tables.
 * Not carried: LISTEN across clients, COPY FROM STDIN (PGlite reads no data after the query), cancel requests
 * (the thread is busy with the very query).
 */
import type { MessagePort } from 'node:worker_threads';

export interface Engine {
  /** Runs whole protocol messages. The data is a view that is valid only during the call. */
  execute(messages: Uint8Array, onData: (data: Uint8Array) => void): Promise<void>;
  inTransaction(): boolean;
}

const sync = 0x53;
const flush = 0x48;
const simpleQuery = 0x51;
const terminate = 0x58;
const startupVersion = 196_608;

interface Group {
  readonly bytes: Uint8Array;
  /** False after a Flush: the client goes on before anybody else may. */
  readonly complete: boolean;
}

export class Session {
  readonly #engine: Engine;
  readonly #clients = new Set<Client>();
  /** Clients with a group to run, in the order of arrival. */
  #waiting: Client[] = [];
  #holder: Client | undefined;
  #busy = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  connect(port: MessagePort): void {
    const client = new Client(port);
    this.#clients.add(client);
    port.on('message', (data: Uint8Array) => {
      client.receive(data);
      if (client.terminated) port.close();
      else if (client.groups.length > 0) this.#wake(client);
    });
    port.on('close', () => {
      client.terminated = true;
      this.#wake(client);
    });
  }

  /** Lets everything that has arrived be answered, then closes the ports. */
  async end(): Promise<void> {
    await this.#idle;
    for (const client of this.#clients) client.port.close();
  }

  #wake(client: Client): void {
    if (!this.#waiting.includes(client)) this.#waiting.push(client);
    if (!this.#busy) this.#idle = this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    for (let client = this.#next(); client !== undefined; client = this.#next()) {
      if (client.terminated) await this.#leave(client);
      else await this.#answer(client);
    }
    this.#busy = false;
  }

  /** The client that holds the session goes on alone; otherwise the client that has waited longest is next. */
  #next(): Client | undefined {
    const holder = this.#holder;
    const index = holder === undefined ? 0 : this.#waiting.indexOf(holder);
    return index === -1 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  async #answer(client: Client): Promise<void> {
    const group = client.groups.shift();
    if (group === undefined) return;
    const chunks: Buffer[] = [];
    await this.#engine.execute(group.bytes, (data) => chunks.push(Buffer.from(data)));
    const answer = new Uint8Array(Buffer.concat(chunks));
    client.port.postMessage(answer, [answer.buffer]);
    this.#holder = group.complete && !this.#engine.inTransaction() ? undefined : client;
    if (client.groups.length > 0) this.#waiting.push(client);
  }

  async #leave(client: Client): Promise<void> {
    this.#clients.delete(client);
    if (this.#holder === client) {
      await this.#engine.execute(Buffer.from([sync, 0, 0, 0, 4]), () => {});
      if (this.#engine.inTransaction()) await this.#engine.execute(query('rollback'), () => {});
      this.#holder = undefined;
    }
    // No client uses the names of the departed client's prepared statements again.
    if (this.#clients.size === 0) await this.#engine.execute(query('discard all'), () => {});
  }
}

class Client {
  readonly port: MessagePort;
  readonly groups: Group[] = [];
  terminated = false;
  #started = false;
  #unread: Buffer = Buffer.alloc(0);

  constructor(port: MessagePort) {
    this.port = port;
  }

  receive(data: Uint8Array): void {
    const bytes = this.#unread.length === 0 ? Buffer.from(data.buffer) : Buffer.concat([this.#unread, data]);
    let groupStart = 0;
    let groupEnd = 0;
    let complete = true;
    for (let at = 0; ;) {
      const header = this.#started ? 1 : 0;
      if (bytes.length < at + header + 4) break;
      const end = at + header + bytes.readUInt32BE(at + header);
      if (bytes.length < end) break;
      if (!this.#started) {
        // Anything else in place of a startup packet is a cancel request.
        this.terminated = bytes.readUInt32BE(at + 4) !== startupVersion;
        if (this.terminated) return;
        this.#started = true;
        this.#push(bytes.subarray(at, end), true);
        groupStart = groupEnd = end;
      } else {
        const type = bytes[at];
        if (type === terminate) {
          this.terminated = true;
          return;
        }
        if (type === sync || type === simpleQuery || type === flush) {
          groupEnd = end;
          complete = type !== flush;
        }
      }
      at = end;
    }
    if (groupEnd > groupStart) this.#push(bytes.subarray(groupStart, groupEnd), complete);
    this.#unread = bytes.subarray(groupEnd);
  }

  #push(bytes: Uint8Array, complete: boolean): void {
    this.groups.push({ bytes, complete });
  }
}

function query(text: string): Uint8Array {
  const message = Buffer.alloc(text.length + 6);
  message.write('Q', 0);
  message.writeUInt32BE(text.length + 5, 1);
  message.write(text, 5);
  return message;
}
