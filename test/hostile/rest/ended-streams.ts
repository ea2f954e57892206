/** Streams whose API key ends while they are open: revoked by REST, or expired. */
import { request } from 'node:http';
import { z } from 'zod';

const made = z.object({ key: z.object({ id: z.string() }), text: z.string() });
const lastLine = z.object({ type: z.literal('end'), code: z.string() });
/** A revocation counts within a second. The rest is for a busy machine. */
const endsWithinMs = 10_000;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly key: string;
  readonly body?: object;
}

async function call(url: string, { method, path, key, body }: Call): Promise<unknown> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path} has the status ${response.status}: ${await response.text()}`);
  return response.json();
}

/** @param admin a key that manages keys @returns the code of the last line */
export async function endedStream(url: string, admin: string, expires: boolean): Promise<string> {
  const more = expires ? { expiresAt: Date.now() + 1500 } : {};
  const body = { name: 'stream', scopes: ['messages:read'], ...more };
  const { key, text } = made.parse(await call(url, { method: 'POST', path: '/keys', key: admin, body }));
  const lines = await new Promise<string>((resolve, reject) => {
    const sent = request(
      `${url}/api/v1/rooms/steady/messages?follow=true&after=0`,
      { headers: { authorization: `Bearer ${text}` }, agent: false },
      (response) => {
        let all = '';
        const revoke = (): void => {
          if (!expires) call(url, { method: 'DELETE', path: `/keys/${key.id}`, key: admin }).catch(reject);
        };
        response.once('data', revoke);
        response
          .on('data', (part: Buffer) => (all += part.toString()))
          .on('end', () => resolve(all))
          .on('error', reject);
      },
    );
    sent.setTimeout(endsWithinMs, () => sent.destroy(new Error('the stream of an ended key goes on')));
    sent.on('error', reject).end();
  });
  const { code } = lastLine.parse(JSON.parse(lines.trim().split('\n').at(-1) ?? ''));
  if (code !== (expires ? 'token_expired' : 'session_revoked')) throw new Error(`the stream ended with ${code}`);
  if (expires) await call(url, { method: 'DELETE', path: `/keys/${key.id}`, key: admin });
  return `stream, ${code}`;
}
