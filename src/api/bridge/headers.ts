/**
 * The headers of requests and responses, in a map. The `Headers` of Node take several microseconds a response, which is more
 * than the rest of the bridge. The class has the methods and the checks of `Headers`, and `new Headers(light)` copies it.
 */

const namePattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A line break in a value would start another header, and a wide character has no byte. */
const badValue = /[\0\r\n]|[^\0-\xff]/;

export type HeaderSource =
  Iterable<readonly [string, string]> | Readonly<Record<string, string | readonly string[]>> | undefined;

export class LightHeaders implements Iterable<[string, string]> {
  readonly #values = new Map<string, string>();
  #cookies: string[] | undefined;
  #frozen = false;

  /** @throws {TypeError} for a name or a value that HTTP does not allow. */
  constructor(source?: HeaderSource) {
    if (source === undefined || source === null) return;
    if (source instanceof LightHeaders) {
      // a copy of checked headers
      for (const [name, value] of source.#values) this.#values.set(name, value);
      if (source.#cookies !== undefined) this.#cookies = [...source.#cookies];
      return;
    }
    if (Symbol.iterator in source) {
      for (const [name, value] of source) this.append(name, value);
    } else {
      for (const name in source) if (Object.hasOwn(source, name)) this.append(name, String(source[name]));
    }
  }

  /** Adds a header as uWS read it: in lower case, and checked by the parser. */
  receive(name: string, value: string): void {
    const before = this.#values.get(name);
    this.#values.set(name, before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`);
  }

  /** From now on every change throws, as in the headers of a received request. */
  freeze(): void {
    this.#frozen = true;
  }

  append(name: string, value: string): void {
    const [key, text] = this.#checked(name, value);
    if (key === 'set-cookie') {
      (this.#cookies ??= []).push(text);
      return;
    }
    const before = this.#values.get(key);
    this.#values.set(key, before === undefined ? text : `${before}, ${text}`);
  }

  set(name: string, value: string): void {
    const [key, text] = this.#checked(name, value);
    if (key === 'set-cookie') this.#cookies = [text];
    else this.#values.set(key, text);
  }

  delete(name: string): void {
    const [key] = this.#checked(name, '');
    if (key === 'set-cookie') this.#cookies = undefined;
    else this.#values.delete(key);
  }

  get(name: string): string | null {
    const key = name.toLowerCase();
    if (key === 'set-cookie') return this.#cookies?.join(', ') ?? null;
    return this.#values.get(key) ?? null;
  }

  has(name: string): boolean {
    const key = name.toLowerCase();
    return key === 'set-cookie' ? this.#cookies !== undefined : this.#values.has(key);
  }

  getSetCookie(): string[] {
    return [...(this.#cookies ?? [])];
  }

  forEach(visit: (value: string, name: string, headers: LightHeaders) => void, self?: unknown): void {
    for (const [name, value] of this) visit.call(self, value, name, this);
  }

  *entries(): Generator<[string, string]> {
    yield* this.#values;
    for (const cookie of this.#cookies ?? []) yield ['set-cookie', cookie];
  }

  *keys(): Generator<string> {
    for (const [name] of this) yield name;
  }

  *values(): Generator<string> {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries();
  }

  /** Visits each header once, without the cost of a generator. */
  each(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.#values) visit(name, value);
    if (this.#cookies !== undefined) for (const cookie of this.#cookies) visit('set-cookie', cookie);
  }

  #checked(name: string, value: string): [name: string, value: string] {
    if (this.#frozen) throw new TypeError('The headers of a request are immutable.');
    const key = keyOf(name);
    const text = trimmed(value);
    if (badValue.test(text)) throw new TypeError(`The value of the header ${name} has a character that HTTP refuses.`);
    return [key, text];
  }
}

/** Names of headers that were checked, with their lower case. Handlers use the same few names again and again. */
const keys = new Map<string, string>();
const mostKeys = 256;

function keyOf(name: string): string {
  const known = keys.get(name);
  if (known !== undefined) return known;
  if (!namePattern.test(name)) throw new TypeError(`${JSON.stringify(name)} is not a header name.`);
  const key = name.toLowerCase();
  if (keys.size < mostKeys) keys.set(name, key);
  return key;
}

/** Callers without types may pass a number. */
function trimmed(value: unknown): string {
  const text = String(value);
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return to - from === text.length ? text : text.slice(from, to);
}

/** Tab, line feed, carriage return and space. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}
