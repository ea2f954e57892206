/** Requests with API keys, against a started server. */
import { expect } from 'vitest';
import { StoredKeys } from '../../src/api/keys/stored-keys.ts';
import { keyCreateInput, type KeyWithSecret } from '../../src/protocol/keys.ts';
import type { TestDatabase } from '../support/database.ts';

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Asking {
  /** The key or the token; undefined: nobody in particular. */
  readonly bearer?: string;
  /** The type of the body. Default: JSON. */
  readonly type?: string | undefined;
  /** The user that the key acts for. */
  readonly user?: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** @param url the address of a server */
export async function request(
  url: string,
  method: string,
  path: string,
  { bearer, user, body, type = 'application/json', headers = {} }: Asking = {},
): Promise<Answered> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: {
      ...headers,
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(user === undefined ? {} : { 'parley-user': user }),
      ...(body === undefined ? {} : { 'content-type': type }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson(response) && text !== '' ? readObject(text) : {},
  };
}

function isJson({ headers }: Response): boolean {
  return /\bjson\b/.test(headers.get('content-type') ?? '');
}

function readObject(text: string): Answered['body'] {
  const value: unknown = JSON.parse(text);
  expect(value).toBeTypeOf('object');
  return value as Answered['body'];
}

/** Makes a key as the command line does. */
export function makeKey(
  sql: TestDatabase['sql'],
  input: { scopes: string[]; rooms?: string[]; networks?: string[]; expiresAt?: number; perHour?: number },
): Promise<KeyWithSecret> {
  const keys = new StoredKeys(sql, { maxKeys: 1000, requestsPerHour: 1_000_000, overlapMs: 1000 });
  return keys.create(keyCreateInput.parse({ name: 'test', ...input }));
}
