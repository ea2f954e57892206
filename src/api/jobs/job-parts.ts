/** The bytes of a job, in parts of one size: the body that an import reads, and the file that an export makes. */
import type { postgres } from '../../storage/sql.ts';

export const partBytes = 256 * 1024;
/** Parts that one statement reads. */
const partsAtOnce = 4;

/** Gathers bytes into parts. */
export class PartBuffer {
  readonly #store: (n: number, bytes: Buffer) => Promise<void>;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #n: number;
  /** All bytes that were added. */
  total = 0;

  /** @param first the number of the first part */
  constructor(store: (n: number, bytes: Buffer) => Promise<void>, first = 0) {
    this.#store = store;
    this.#n = first;
  }

  /** Parts that are stored. */
  get parts(): number {
    return this.#n;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.#waitingBytes += bytes.byteLength;
    this.total += bytes.byteLength;
    if (this.#waitingBytes < partBytes) return;
    const whole = Buffer.concat(this.#waiting);
    let from = 0;
    for (; whole.byteLength - from >= partBytes; from += partBytes)
      await this.#put(whole.subarray(from, from + partBytes));
    this.#waiting = [whole.subarray(from)];
    this.#waitingBytes = whole.byteLength - from;
  }

  /** Stores the rest. */
  async flush(): Promise<void> {
    if (this.#waitingBytes > 0) await this.#put(Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  async #put(bytes: Buffer): Promise<void> {
    await this.#store(this.#n, bytes);
    this.#n++;
  }
}

export async function* readParts(sql: postgres.Sql, job: string): AsyncGenerator<Buffer, void> {
  for (let next = 0; ;) {
    const rows = await sql<{ n: number; bytes: Buffer }[]>`
      select n, bytes from job_parts where job = ${job} and n >= ${next} order by n limit ${partsAtOnce}`;
    for (const { bytes } of rows) yield bytes;
    const last = rows.at(-1);
    if (last === undefined || rows.length < partsAtOnce) return;
    next = last.n + 1;
  }
}
