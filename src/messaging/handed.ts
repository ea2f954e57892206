/** Outbox rows whose events went to fan-out: the next commit, whoever makes it, deletes them, which costs no round trip. */
export class Handed {
  #ids: number[] = [];

  add(id: number): void {
    this.#ids.push(id);
  }

  /** Calls with what is to be deleted now; if that fails it stays to be deleted. */
  async deleting<T>(call: (ids: number[]) => Promise<T>): Promise<T> {
    const ids = this.#ids;
    this.#ids = [];
    try {
      return await call(ids);
    } catch (error) {
      this.#ids.push(...ids);
      throw error;
    }
  }
}
