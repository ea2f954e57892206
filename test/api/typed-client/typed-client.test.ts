/**
 * A client whose types `openapi-typescript` makes of the served document. The compiler checks `client.ts` with these types,
 * and then the tests run the same file. Nothing keeps the types (380 KB): the document is their only source.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { stage } from '../../stage.ts';
import { tokenOf } from '../../support/server.ts';
import { makeKey } from '../keys-routes.ts';

const { server, sql, people, room } = await stage({ people: ['owner', 'ann'] });
const baseUrl = `${server.url}/api/v1`;
const hall = await room();

/** The functions of client.ts, which the other compiler checks. */
type Calls = Readonly<Record<'roundTrip' | 'codeOfFailure' | 'published', (...given: string[]) => Promise<unknown>>>;
const calls = (await import(place('client.ts'))) as Calls;

function place(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

async function run(
  args: readonly string[],
  input = '',
): Promise<{ code: number | null; output: string; errors: string }> {
  const child = spawn(process.execPath, args, { stdio: 'pipe' });
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await ended, output, errors };
}

it('types of the served document compile, and the compiler refuses wrong paths, parameters and values', async () => {
  const document = await (await fetch(`${baseUrl}/openapi.json`)).text();
  const types = await run([place('generate.mjs')], document);
  expect([types.code, types.errors]).toEqual([0, '']);
  writeFileSync(place('schema.d.ts'), types.output);
  const compiler = fileURLToPath(new URL('../../../node_modules/typescript/bin/tsc', import.meta.url));
  const { code, output } = await run([compiler, '-p', place('tsconfig.json')]);
  expect([code, output]).toEqual([0, '']);
});

it('sends, reads and changes by the typed client', async () => {
  const id = crypto.randomUUID();
  const made = await calls.roundTrip(baseUrl, await tokenOf('owner', { name: 'OWNER' }), hall, id);
  expect(await people.ann.event('message')).toMatchObject({ id });
  expect(made).toMatchObject({ status: 201, seq: 1, message: { id, from: 'owner' }, topic: 'typed' });
});

it('gives the problem of a failure, whose codes are a type', async () => {
  expect(await calls.codeOfFailure(baseUrl, await tokenOf('ann'))).toBe('not_found');
});

it('publishes with a key, and each outcome is a seq or an error', async () => {
  const { text: key } = await makeKey(sql, { scopes: ['publish'] });
  expect(await calls.published(baseUrl, key, hall)).toEqual(['number', 'not_found']);
});
