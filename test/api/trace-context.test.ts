/** The place of a request in a trace, by W3C Trace Context. */
import { expect, it } from 'vitest';
import { traceOf } from '../../src/api/trace-context.ts';
import { stage } from '../stage.ts';

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = '00f067aa0ba902b7';

it('answers with the trace of the request, and with an id of its own for each answer', async () => {
  const { server } = await stage();
  for (const path of ['/openapi.json', '/rooms', '/nothing']) {
    const traceparent = `00-${trace}-${parent}-01`;
    const ask = async (headers: Record<string, string>): Promise<string | null> =>
      (await fetch(`${server.url}/api/v1${path}`, { headers })).headers.get('traceparent');
    const [one, two] = [await ask({ traceparent }), await ask({ traceparent })];
    expect(one).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
    expect(new Set([one, two, traceparent]).size).toBe(3);
    expect(await ask({})).toBeNull();
    expect(await ask({ traceparent: `00-${trace}-0-01` })).toBeNull();
  }
});

it.each([
  [`00-${trace}-${parent}-00`, '00'],
  [`00-${trace}-${parent}-ff`, '01'],
  [`cc-${trace}-${parent}-01`, '01'],
  [`cc-${trace}-${parent}-01-later`, '01'],
  [`00-${trace}-${parent}-01-later`, undefined],
  [`ff-${trace}-${parent}-01`, undefined],
  [`00-${'0'.repeat(32)}-${parent}-01`, undefined],
  [`00-${trace}-${'0'.repeat(16)}-01`, undefined],
  [`00-${trace.toUpperCase()}-${parent}-01`, undefined],
  [`00-${trace}-${parent}-01, 00-${trace}-${parent}-01`, undefined],
  ['', undefined],
  [undefined, undefined],
])('reads %s', (header, flags) => {
  const read = traceOf(header);
  expect(read?.id).toBe(flags === undefined ? undefined : trace);
  expect(read?.parent.slice(-2)).toBe(flags);
});
