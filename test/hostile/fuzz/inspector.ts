/** The inside of the server, by its debugger: memory after a forced collection, and what objects are left. */
import { once } from 'node:events';
import { WebSocket } from 'ws';

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: string[]; readonly node_types: [string[]] } };
  readonly nodes: number[];
  readonly strings: string[];
}

export class Inspector {
  readonly #ws: WebSocket;
  #requested = 0;
  #chunks: string[] = [];

  private constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on('message', (data: Buffer) => {
      const { method, params } = JSON.parse(data.toString()) as { method?: string; params?: { chunk: string } };
      if (method === 'HeapProfiler.addHeapSnapshotChunk') this.#chunks.push(params?.chunk ?? '');
    });
  }

  /** @param stderr where the server says its debugger listens. */
  static async open(stderr: string): Promise<Inspector> {
    const url = /ws:\/\/127\.0\.0\.1:\S+/.exec(stderr)?.[0];
    if (url === undefined) throw new Error('the server has no debugger');
    const ws = new WebSocket(url, { perMessageDeflate: false, maxPayload: 2 ** 30 });
    await once(ws, 'open');
    return new Inspector(ws);
  }

  async collectGarbage(): Promise<void> {
    await this.#ask('HeapProfiler.collectGarbage');
  }

  /** How many instances of these classes are alive. */
  async count(classes: readonly string[]): Promise<Record<string, number>> {
    this.#chunks = [];
    await this.#ask('HeapProfiler.takeHeapSnapshot');
    const { snapshot, nodes, strings } = JSON.parse(this.#chunks.join('')) as Snapshot;
    this.#chunks = [];
    const { node_fields: fields, node_types: types } = snapshot.meta;
    const [type, name, step] = [fields.indexOf('type'), fields.indexOf('name'), fields.length];
    const object = types[0].indexOf('object');
    const counts = Object.fromEntries(classes.map((each) => [each, 0]));
    for (let at = 0; at < nodes.length; at += step) {
      const found = strings[nodes[at + name] ?? -1] ?? '';
      if (nodes[at + type] === object && Object.hasOwn(counts, found)) counts[found] = (counts[found] ?? 0) + 1;
    }
    return counts;
  }

  close(): void {
    this.#ws.terminate();
  }

  #ask(method: string): Promise<void> {
    const id = ++this.#requested;
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error('the debugger is gone'));
      const listen = (data: Buffer) => {
        const { id: answered } = JSON.parse(data.toString()) as { id?: number };
        if (answered !== id) return;
        this.#ws.off('message', listen).off('close', gone);
        resolve();
      };
      this.#ws.on('message', listen).once('close', gone);
      this.#ws.send(JSON.stringify({ id, method }));
    });
  }
}
