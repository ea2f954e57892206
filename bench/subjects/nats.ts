/** NATS by its WebSocket listener, as installed, on all cores. NATS answers each PUB ("verbose"). */
import { setTimeout as sleep } from 'node:timers/promises';
import { LoadClient, type ClientOptions } from '../client.ts';
import { debianFile, debianVersion } from '../debian.ts';
import { deliveredFrame } from '../frames.ts';
import { freePort } from '../lab.ts';
import { listensTo, targetOf, userOf, type Crowd, type Subject } from './subject.ts';

const findServer = (): { path: string } | { why: string } => debianFile('nats-server', 'usr/sbin/nats-server');

/** The settings drop the log of NATS, and let a subscriber be as far behind as the other peers do. */
const configuration = (tcp: number, port: number): string => `
listen: "127.0.0.1:${tcp}"
websocket { listen: "127.0.0.1:${port}", no_tls: true, compression: false }
max_connections: 30000
max_pending: 16777216
`;

export const nats: Subject = {
  name: 'nats',
  title: 'NATS over WebSocket',
  missing() {
    const found = findServer();
    return 'why' in found ? `nats-server: ${found.why}` : undefined;
  },
  cannot: (_context, crowd) => (crowd.does === 'echo' ? 'is here for fan-out, connections and memory' : undefined),
  versions: () => ({ nats: debianVersion('nats-server') }),
  async open({ lab }, crowd) {
    const found = findServer();
    if ('why' in found) throw new Error(found.why);
    const [tcp, port] = [await freePort(), await freePort()];
    const file = await lab.file(`nats-${port}.conf`, [configuration(tcp, port)]);
    const child = lab.start(found.path, ['-c', file]);
    const ended = child.line(10_000).catch((error: unknown) => error);
    for (const until = Date.now() + 10_000; !(await answers(port));) {
      const failed = await Promise.race([ended, sleep(50)]);
      if (failed instanceof Error) throw failed;
      if (Date.now() > until) throw new Error('nats-server did not answer in 10 s');
    }
    const options: ClientOptions = {
      port,
      serverPid: child.pid,
      dialect: 'nats',
      connections: crowd.rooms.length,
      countPrefix: '42["',
      rooms: await lab.file(
        `${crowd.name}-rooms`,
        crowd.rooms.map((_, i) => targetOf(crowd, i)),
      ),
      setups: await lab.file(
        `${crowd.name}-subscribe`,
        crowd.rooms.map((_, i) =>
          listensTo(crowd, i)
            .map((room, id) => `SUB ${room} ${id + 1}`)
            .join('\t'),
        ),
      ),
      ...(crowd.does === 'publish' ? { command: publish(crowd) } : {}),
    };
    return {
      pids: [child.pid],
      connect: (connections = crowd.rooms.length) => LoadClient.connect(lab, { ...options, connections }),
      stop: () => child.stop(),
    };
  },
};

const publish = (crowd: Crowd): string =>
  `PUB {room} ${deliveredFrame(targetOf(crowd, 0), userOf(crowd, 0)).length}{crlf}${deliveredFrame('{room}', userOf(crowd, 0))}{crlf}`;

/** Whether the server answers plain HTTP, with any status. */
const answers = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) }).then(
    () => true,
    () => false,
  );
