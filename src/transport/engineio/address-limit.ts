/** The address of a connection. Successive connections share the object, so that each keeps a reference and no text. */
export interface AddressUse {
  readonly address: string;
  readonly network: Network;
}

export interface Network {
  readonly key: string;
  connections: number;
  /** Bytes that wait to be sent to its connections; see hub/unsent.ts. */
  unsent: number;
  latest: AddressUse | undefined;
}

/** Limits the connections of a network: one address, or the addresses that one host may have. */
export class AddressLimit {
  readonly #max: number;
  readonly #networks = new Map<string, Network>();

  constructor(max: number) {
    this.#max = max;
  }

  /** @returns undefined when the network holds as many as it may. */
  take(address: string, key: string): AddressUse | undefined {
    let network = this.#networks.get(key);
    if (network === undefined) {
      network = { key, connections: 0, unsent: 0, latest: undefined };
      this.#networks.set(key, network);
    }
    if (network.connections >= this.#max) return undefined;
    network.connections++;
    if (network.latest?.address !== address) network.latest = { address, network };
    return network.latest;
  }

  release({ network }: AddressUse): void {
    network.connections--;
    if (network.connections === 0) this.#networks.delete(network.key);
  }

  get size(): number {
    return this.#networks.size;
  }
}
