/** The descriptions of the server's own interfaces, as a client reads them. */
import { expect, it } from 'vitest';
import { commands } from '../../src/protocol/commands.ts';
import { events } from '../../src/protocol/events.ts';
import { stage } from '../stage.ts';

const { server } = await stage();

async function read(path: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${server.url}/api/v1${path}`);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

/** Every reference of a document, without its `#/`. */
function references(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(references);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    key === '$ref' && typeof part === 'string' ? [part.slice(2)] : references(part),
  );
}

function has(document: unknown, path: string): boolean {
  let part = document;
  for (const name of path.split('/')) part = (part as Record<string, unknown> | undefined)?.[name];
  return part !== undefined;
}

it.each(['/openapi.json', '/asyncapi.json'])('%s has the target of each of its references', async (path) => {
  const document = await read(path);
  expect(references(document).length).toBeGreaterThan(20);
  expect(references(document).filter((target) => !has(document, target))).toEqual([]);
});

it('AsyncAPI has every command with its ack, and every event', async () => {
  const { asyncapi, operations } = await read('/asyncapi.json');
  expect(asyncapi).toBe('3.0.0');
  const titles = Object.values(operations as Record<string, { title: string; action: string }>);
  const of = (action: string): string[] => titles.filter((one) => one.action === action).map(({ title }) => title);
  expect(of('receive')).toEqual(Object.keys(commands));
  expect(of('send')).toEqual(Object.keys(events));
});

it('the page has every error, and loads nothing from elsewhere', async () => {
  const response = await fetch(`${server.url}/api/v1/docs`);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'; style-src 'sha256-");
  const html = await response.text();
  expect(html).toContain('id="error-rate_limited"');
  expect(html).toContain('id="error-idempotency_mismatch"');
  expect(html).not.toMatch(/<script|<link|<img|src=|@import|url\(/);
});
