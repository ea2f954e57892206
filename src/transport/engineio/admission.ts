/** Admits or refuses new connections, before anything is created or read for them. */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { networkOf, type ClientAddress } from '../../http/client-address.ts';
import { TokenBuckets } from '../../rates/token-bucket.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { RefusedHandshake } from '../../telemetry/metrics.ts';
import { AddressLimit, type AddressUse } from './address-limit.ts';

export interface AdmissionSettings {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly connectsPerSecondPerAddress: number;
}

export interface Refusal {
  readonly reason: RefusedHandshake;
  readonly error: ParleyError;
}

/** The burst of handshakes of an address, in seconds of its rate. */
const burst = 10;

export class Admission {
  readonly #settings: AdmissionSettings;
  readonly #overloaded: () => ParleyError | undefined;
  readonly #clientAddress: ClientAddress;
  readonly #addresses: AddressLimit;
  readonly #rates: TokenBuckets;
  #stopping = false;

  constructor(settings: AdmissionSettings, clientAddress: ClientAddress, overloaded: () => ParleyError | undefined) {
    this.#settings = settings;
    this.#overloaded = overloaded;
    this.#clientAddress = clientAddress;
    this.#addresses = new AddressLimit(settings.maxConnectionsPerAddress);
    const perSecond = settings.connectsPerSecondPerAddress;
    this.#rates = new TokenBuckets(perSecond, perSecond * burst);
  }

  /** Refuses every new connection from now on. */
  stop(): void {
    this.#stopping = true;
  }

  /** @param present open connections. @returns the address's share, which `release` gives back, or the refusal. */
  admit(res: HttpResponse, req: HttpRequest, present: number): AddressUse | Refusal {
    if (this.#stopping) {
      return { reason: 'draining', error: new ParleyError('draining', undefined, { retryAfter: 1000 }) };
    }
    const overloaded = this.#overloaded();
    if (overloaded !== undefined) return { reason: 'overload', error: overloaded };
    if (present >= this.#settings.maxConnections) {
      const full = 'The server has reached its limit of connections.';
      return { reason: 'connections', error: new ParleyError('overloaded', full, { retryAfter: 5000 }) };
    }
    const address = this.#clientAddress.read(res, req);
    const network = networkOf(address);
    const wait = this.#rates.take(network);
    if (wait > 0) {
      const often = 'This address connects too often.';
      return { reason: 'connect_rate', error: new ParleyError('rate_limited', often, { retryAfter: wait }) };
    }
    const many = 'This address has reached its limit of connections.';
    return (
      this.#addresses.take(address, network) ?? {
        reason: 'address',
        error: new ParleyError('rate_limited', many, { retryAfter: 5000 }),
      }
    );
  }

  release(use: AddressUse): void {
    this.#addresses.release(use);
  }

  /** Forgets addresses whose rate is full again. */
  sweep(now: number): void {
    this.#rates.sweep(now);
  }
}
