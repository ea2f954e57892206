import { isIP } from 'node:net';
import { ipRange } from '../protocol/ip-range.ts';

/** Parsers of settings. A parser that refuses a text says what it expected, in words for an operator. */
export type Parser<T> = (source: string) => { ok: true; value: T } | { ok: false; expected: string };

export function number(min: number, max: number): Parser<number> {
  return (source) => {
    const value = Number(source);
    const good = /^\d+$/.test(source.trim()) && value >= min && value <= max;
    return good ? { ok: true, value } : { ok: false, expected: `a whole number from ${min} to ${max}` };
  };
}

/** A count, or `auto` for one on each core of the machine. */
export function countOrAuto(min: number, max: number): Parser<number | 'auto'> {
  return (source) => {
    if (source === 'auto') return { ok: true, value: source };
    const parsed = number(min, max)(source);
    return parsed.ok ? parsed : { ok: false, expected: `auto or ${parsed.expected}` };
  };
}

const units: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

export function bytes(min: number, max: number): Parser<number> {
  return (source) => {
    const match = /^(\d+)([kmg]?)b?$/i.exec(source.trim());
    const value = match === null ? NaN : Number(match[1]) * (units[(match[2] ?? '').toLowerCase()] ?? NaN);
    return value >= min && value <= max
      ? { ok: true, value }
      : { ok: false, expected: `bytes from ${min} to ${max}, such as 65536, 64k or 1m` };
  };
}

export function text(min: number, max: number): Parser<string> {
  return (source) =>
    Buffer.byteLength(source) >= min && Buffer.byteLength(source) <= max
      ? { ok: true, value: source }
      : { ok: false, expected: `text of ${min} to ${max} bytes` };
}

export function flag(): Parser<boolean> {
  return (source) => {
    if (/^(true|1|yes|on)$/i.test(source)) return { ok: true, value: true };
    if (/^(false|0|no|off)$/i.test(source)) return { ok: true, value: false };
    return { ok: false, expected: 'true or false' };
  };
}

export function oneOf<T extends string>(...choices: T[]): Parser<T> {
  return (source) => {
    const value = choices.find((choice) => choice === source);
    return value === undefined ? { ok: false, expected: choices.join(', ') } : { ok: true, value };
  };
}

export function url(...protocols: string[]): Parser<string> {
  return (source) => {
    const good = URL.canParse(source) && protocols.includes(new URL(source).protocol);
    return good
      ? { ok: true, value: source }
      : { ok: false, expected: `a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}` };
  };
}

/**
 * The Redis driver takes every parameter of the URL as one of its options, as text and before the options of Parley.
 * `enableOfflineQueue=false` would turn the queue on. So the parser accepts `family` alone.
 */
export function redisUrl(): Parser<string> {
  const one = url('redis:', 'rediss:');
  return (source) => {
    const parsed = one(source);
    if (!parsed.ok) return parsed;
    const { pathname, searchParams, hash } = new URL(source);
    const unknown = [...searchParams.keys()].find((name) => name !== 'family');
    if (unknown !== undefined)
      return { ok: false, expected: `no parameter ${unknown}: the URL may have the parameter family alone` };
    const family = searchParams.get('family');
    if (family !== null && !/^[46]$/.test(family)) return { ok: false, expected: 'family=4 or family=6' };
    if (hash !== '' || !/^(\/\d*)?$/.test(pathname))
      return { ok: false, expected: 'the number of the database after the host, as in redis://host:6379/0' };
    return parsed;
  };
}

export function list<T>(item: Parser<T>): Parser<T[]> {
  return (source) => {
    const value: T[] = [];
    if (source.trim() === '') return { ok: true, value };
    for (const part of source.split(',')) {
      // a comma at the end, or two in a row
      if (part.trim() === '') continue;
      const parsed = item(part.trim());
      if (!parsed.ok) return { ok: false, expected: `a list by comma, each ${parsed.expected}` };
      value.push(parsed.value);
    }
    return { ok: true, value };
  };
}

/** An IP address, or a range of them in CIDR form. */
export function range(): Parser<string> {
  return (source) => {
    // IPv6 is also written in brackets
    const plain = source.replace(/^\[([0-9a-fA-F:.]+)\]/, '$1');
    return ipRange(plain) === undefined
      ? { ok: false, expected: 'an address or a range such as 10.0.0.0/8' }
      : { ok: true, value: plain };
  };
}

/** An address or a name to listen on, without the brackets of IPv6. */
export function host(): Parser<string> {
  return (source) => {
    const value = source.replace(/^\[(.+)\]$/, '$1');
    const good =
      isIP(value) !== 0 || (value === source && /^[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?$/.test(value));
    return good ? { ok: true, value } : { ok: false, expected: 'an address such as 0.0.0.0 or ::1, or a host name' };
  };
}

/** A web origin as browsers write it: lower case, no path, no port that is the default one. */
export function origin(): Parser<string> {
  return (source) => {
    if (source === '*') return { ok: true, value: source };
    const parsed = URL.canParse(source) ? new URL(source) : undefined;
    const bare =
      parsed !== undefined &&
      parsed.pathname === '/' &&
      parsed.search === '' &&
      parsed.hash === '' &&
      parsed.username === '';
    if (parsed === undefined || !bare || parsed.host === '') {
      return { ok: false, expected: 'an origin such as https://chat.example.com, or *' };
    }
    return { ok: true, value: `${parsed.protocol}//${parsed.host}` };
  };
}

/** The host of a page, with its port if it has one. */
export function authority(): Parser<string> {
  return (source) => {
    const parsed = URL.canParse(`http://${source}`) ? new URL(`http://${source}`).host : undefined;
    return parsed === source.toLowerCase()
      ? { ok: true, value: parsed }
      : { ok: false, expected: 'a host such as chat.example.com or localhost:8080' };
  };
}

/** A host of files: a name, `*.` and a name for all names below it, or `*` for any. A name may have a port. */
export function hostPattern(): Parser<string> {
  return (source) =>
    source === '*' ||
    /^(\*\.)?([a-z0-9-]+\.)*[a-z0-9-]+(:[1-9]\d{0,4})?$|^\[[0-9a-f:.]+\](:[1-9]\d{0,4})?$/.test(source)
      ? { ok: true, value: source }
      : { ok: false, expected: 'a host such as files.example.com, *.example.com or localhost:8080, or *' };
}

/** A media type, or a kind of media types. */
export function mediaType(): Parser<string> {
  return (source) =>
    /^[a-z]+\/(\*|[a-z0-9][a-z0-9.+_-]*)$/.test(source)
      ? { ok: true, value: source }
      : { ok: false, expected: 'a media type such as image/png or audio/*' };
}

/** Tiers by comma, or `off`: no tiers, so that messages are unlimited. */
export function tiers(): Parser<string[]> {
  const some = list(tier());
  return (source) => (source === 'off' ? { ok: true, value: [] } : some(source));
}

/** A tier of users and its messages per minute, such as `premium=6000`. */
function tier(): Parser<string> {
  return (source) =>
    /^[A-Za-z0-9_.-]{1,32}=[1-9]\d{0,6}$/.test(source)
      ? { ok: true, value: source }
      : { ok: false, expected: 'a tier and its rate, such as standard=600' };
}
