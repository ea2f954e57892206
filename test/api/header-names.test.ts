/** Headers that the parser of uWebSockets.js reads in its own way: docs/api.md names them, because no code of Parley sees them. */
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/test-token.ts';

const { server } = await stage({ people: ['ann'] });
const token = await tokenOf('ann');
const { port } = new URL(server.url);

/** @returns the status of the answer; undefined: the connection ended without one */
async function answerTo(line: Buffer): Promise<string | undefined> {
  const head = ['GET /api/v1/me HTTP/1.1', 'Host: localhost', `Authorization: Bearer ${token}`];
  const bytes = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n`), line, Buffer.from('\r\n\r\n')]);
  const parts: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (part) => {
      parts.push(part);
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => resolve());
  });
  return parts.length === 0 ? undefined : Buffer.concat(parts).toString('latin1').slice(9, 12);
}

const header = (name: string, value: string): Buffer => Buffer.from(`${name}: ${value}`, 'latin1');

it('a name of letters, digits and hyphens is read, also with an empty value', async () => {
  for (const name of ['x-own', 'X9', '9', '-'])
    expect([name, await answerTo(header(name, '1'))]).toEqual([name, '200']);
  expect(await answerTo(header('x-own', ''))).toBe('200');
});

it('a name with another sign gets no answer, and its connection ends', { timeout: 120_000 }, async () => {
  const names = "!#$%&'*+.^_`|~ /\xe4".split('').map((sign) => `x${sign}y`);
  const answers = await Promise.all(names.map(async (name) => [name, await answerTo(header(name, '1'))]));
  expect(answers).toEqual(names.map((name) => [name, undefined]));
  expect(await answerTo(header('x-own', '1'))).toBe('200');
});

it('bytes outside of ASCII are cut off both ends of a value, and stay inside of one', async () => {
  for (const value of ['ann\xe4', '\xe4ann', '\xc2\x84', ' ann\x84 ']) {
    expect([value, await answerTo(header('Parley-User', value))]).toEqual([value, '200']);
  }
  expect(await answerTo(header('Parley-User', 'an\xe4n'))).toBe('403');
});
