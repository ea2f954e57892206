import { setTimeout as delay } from 'node:timers/promises';
import { withPasswordEncoded } from './password-encoding.ts';

/**
 * DATABASE_URL may name several hosts, as libpq takes them: `postgres://a:5432,b:5433/db` or `?host=a,b&port=5432,5433`.
 * Sessions go to the first host that takes writes. The choice is kept until a connection to that host ends.
 */
export interface Host {
  readonly host: string;
  readonly port: number;
}

export interface HostList {
  /** With the first host alone, and without what the driver must not see. */
  readonly url: string;
  /** At least one. Empty host: the driver's own default. */
  readonly hosts: readonly Host[];
  /** Whether a host must take writes. `any` in the URL: the first host that answers is taken. */
  readonly writable: boolean;
}

const defaultPort = 5432;
/** How long an earlier host may take longer than a later one that takes writes. */
const patienceMs = 250;
const writableAttributes = ['read-write', 'primary'];

/** @throws {Error} with what is wrong, in words for an operator, without the URL. */
export function splitHosts(given: string): HostList {
  const text = withPasswordEncoded(given);
  const match = /^(postgres(?:ql)?:\/\/)([^/?#]*@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?$/.exec(text);
  if (match === null) return { url: text, hosts: [{ host: '', port: defaultPort }], writable: false };
  const [, scheme = '', user = '', authority = '', path = '', query] = match;
  const parameters = new URLSearchParams(query);
  const attributes = parameters.get('target_session_attrs') ?? undefined;
  const hosts = authority.includes(',') ? authority.split(',').map(hostOf) : hostsOf(parameters);
  if (hosts === undefined && attributes === undefined)
    return {
      url: text,
      hosts: [authority === '' ? { host: '', port: defaultPort } : hostOf(authority)],
      writable: false,
    };
  if (attributes !== undefined && attributes !== 'any' && !writableAttributes.includes(attributes))
    throw new Error(`target_session_attrs=${attributes}: expected read-write, primary or any, because Parley writes`);
  parameters.delete('target_session_attrs');
  if (hosts !== undefined) for (const name of ['host', 'port']) parameters.delete(name);
  const list = hosts ?? [hostOf(authority)];
  const [{ host, port }] = list as [Host];
  const only = hosts === undefined ? authority : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const rest = parameters.size === 0 ? '' : `?${parameters.toString()}`;
  return { url: `${scheme}${user}${only}${path}${rest}`, hosts: list, writable: attributes !== 'any' };
}

/** The lists of the query, where one of them is a list; one port may stand for all hosts. */
function hostsOf(parameters: URLSearchParams): Host[] | undefined {
  const names = parameters.get('host')?.split(',') ?? [];
  if (names.length < 2) return undefined;
  const ports = parameters.get('port')?.split(',') ?? [String(defaultPort)];
  if (ports.length !== 1 && ports.length !== names.length)
    throw new Error(`port: expected one port, or ${names.length} ports for as many hosts`);
  return names.map((name, i) => checked(name, ports[ports.length === 1 ? 0 : i] ?? ''));
}

function hostOf(text: string): Host {
  const [, host = '', port = String(defaultPort)] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(text) ?? [];
  return checked(host, port);
}

function checked(host: string, port: string): Host {
  const number = port === '' ? defaultPort : Number(port);
  if (host === '' || !Number.isInteger(number) || number < 1 || number > 65_535)
    throw new Error('expected each host as name:port, such as db1:5432,db2:5432');
  return { host: decodeURIComponent(host).replace(/^\[(.*)\]$/, '$1'), port: number };
}

/** @returns whether sessions may go there. Rejects when the host cannot be reached. */
export type Probe = (host: Host) => Promise<boolean>;

/** undecided → (choose) → probing → decided; `reconsider` leads back to undecided. One round of probes serves all callers. */
export class HostChoice {
  readonly #hosts: readonly Host[];
  readonly #probe: Probe;
  #chosen: Promise<Host> | undefined;

  constructor(hosts: readonly Host[], probe: Probe) {
    this.#hosts = hosts;
    this.#probe = probe;
  }

  /** Rejects when no host serves; the next call probes the hosts again. */
  choose(): Promise<Host> {
    if (this.#chosen !== undefined) return this.#chosen;
    const chosen = this.#probeAll();
    this.#chosen = chosen;
    chosen.catch(() => this.#forget(chosen));
    return chosen;
  }

  /** The next connection probes the hosts again: the chosen host refused a write, or a connection to it ended. */
  reconsider(): void {
    this.#chosen = undefined;
  }

  #forget(chosen: Promise<Host>): void {
    if (this.#chosen === chosen) this.#chosen = undefined;
  }

  /** All hosts at once. The first in order is taken; one that does not answer delays another by a moment at most. */
  async #probeAll(): Promise<Host> {
    const probes = this.#hosts.map(async (host) => {
      if (await this.#probe(host)) return host;
      throw Object.assign(new Error(`${host.host}:${host.port} takes no writes`), { code: '25006' });
    });
    const any = Promise.any(probes);
    const patience = any.then(() => delay(patienceMs, undefined));
    try {
      for (const probe of probes) {
        // no `within`: the limit begins when any host has answered, and all earlier hosts share it
        const host = await Promise.race([probe.catch(() => undefined), patience]);
        if (host !== undefined) return host;
      }
      return await any;
    } catch (error) {
      throw error instanceof AggregateError ? (error.errors[0] as Error) : error;
    }
  }
}
