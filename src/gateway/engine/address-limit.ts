/** How many connections one address holds; shared by them, so that each keeps a reference and no text. */
export interface AddressUse {
  readonly address: string;
  connections: number;
}

export class AddressLimit {
  readonly #max: number;
  readonly #uses = new Map<string, AddressUse>();

  constructor(max: number) {
    this.#max = max;
  }

  /** @returns undefined when the address holds as many as it may. */
  take(address: string): AddressUse | undefined {
    let use = this.#uses.get(address);
    if (use === undefined) {
      use = { address, connections: 0 };
      this.#uses.set(address, use);
    }
    if (use.connections >= this.#max) return undefined;
    use.connections++;
    return use;
  }

  release(use: AddressUse): void {
    use.connections--;
    if (use.connections === 0) this.#uses.delete(use.address);
  }

  get size(): number {
    return this.#uses.size;
  }
}
