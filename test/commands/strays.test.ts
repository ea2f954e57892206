/** Unexpected packets take from the rate of their connection, and too many of them close it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  allKinds,
  event,
  expectEnded,
  openPeer,
  type as types,
  type Kind,
  type Packet,
  type Peer,
} from '../protocol/peer.ts';
import { total } from '../support/metrics.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

const [burst, maxRefused] = [10, 5];
let server: TestServer;

beforeAll(async () => {
  server = await startServer({
    PARLEY_COMMANDS_PER_SECOND: '1',
    PARLEY_COMMAND_BURST: String(burst),
    PARLEY_COMMAND_BURST_PER_USER: '100000',
    PARLEY_MAX_REFUSED_COMMANDS: String(maxRefused),
  });
});
afterAll(() => server.stop());

async function arrive(kind: Kind): Promise<Peer> {
  const peer = await openPeer(server.url, kind);
  await peer.send({ type: types.connect, nsp: '/', data: { token: await tokenOf('ann') } });
  await until('ready comes', async () => {
    const { data } = await peer.next();
    return Array.isArray(data) && data[0] === 'ready';
  });
  return peer;
}

const counted = async (packet: string): Promise<number> =>
  (await server.metrics()).get(`parley_stray_packets_total{packet="${packet}"}`) ?? 0;

const unexpected: [what: string, counter: string, make: (n: number) => Packet][] = [
  ['acks', 'ack', (id) => ({ type: types.ack, nsp: '/', id, data: [] })],
  ['acks with an attachment', 'ack', (id) => ({ type: types.ack, nsp: '/', id, data: [Buffer.from('x')] })],
  ['CONNECTs to an unknown namespace', 'connect', () => ({ type: types.connect, nsp: '/admin' })],
];

describe.each(allKinds)('over $transport in $form', (kind) => {
  it.each(unexpected)(
    '%s are accepted up to the limit, and one more closes the connection',
    async (_, counter, make) => {
      const before = await counted(counter);
      const most = burst + maxRefused;
      const [within, over] = [await arrive(kind), await arrive(kind)];
      const packets = Array.from({ length: most + 1 }, (__, n) => make(n));
      await within.send(...packets.slice(0, most));
      await until('all are counted', async () => (await counted(counter)) === before + most);
      expect((await server.metrics()).get('parley_connections')).toBe(2);
      const closed = total(await server.metrics(), 'parley_connections_closed_total{reason="rate_limited"}');
      await over.send(...packets);
      await expectEnded(over, kind, 'rate_limited');
      expect(await counted(counter)).toBe(before + 2 * most + 1);
      expect(total(await server.metrics(), 'parley_connections_closed_total{reason="rate_limited"}')).toBe(closed + 1);
      await within.close();
      await until('both are gone', async () => (await server.metrics()).get('parley_connections') === 0);
    },
  );

  it('unexpected packets leave less of the rate for commands', async () => {
    const peer = await arrive(kind);
    const acks = Array.from({ length: burst }, (_, id) => ({ type: types.ack, nsp: '/', id, data: [] }));
    await peer.send(...acks, event(['room:list', {}], { id: 7 }));
    expect(await peer.next()).toMatchObject({ id: 7, data: [{ ok: false, error: { code: 'rate_limited' } }] });
    await peer.close();
  });

  it('refused CONNECTs to the namespace of Parley are accepted up to the same limit', async () => {
    const peer = await openPeer(server.url, kind);
    const from = performance.now();
    let refused = 0;
    const over = peer.line.ended().then(() => 'ended' as const);
    while ((await Promise.race([over, refuse(peer)])) !== 'ended') refused++;
    // the last one's answer may still have come before the end
    const more = Math.ceil((performance.now() - from) / 1000) + 1;
    expect(refused).toBeGreaterThanOrEqual(burst + maxRefused);
    expect(refused).toBeLessThanOrEqual(burst + maxRefused + more);
  });
});

async function refuse(peer: Peer): Promise<'refused' | 'ended'> {
  await peer.send({ type: types.connect, nsp: '/', data: { token: 'bad' } });
  return peer.next().then(
    ({ type }) => (type === types.connectError ? 'refused' : 'ended'),
    () => 'ended' as const,
  );
}
