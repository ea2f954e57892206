/** nginx with nchan: WebSocket for subscribers, HTTP for publishers; one worker, as all others are one process. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findBinaries } from '../../test/support/binaries.ts';
import { LoadClient, type ClientOptions } from '../client.ts';
import { debianFile, debianVersion } from '../debian.ts';
import { deliveredFrame } from '../frames.ts';
import { freePort, type Child } from '../lab.ts';
import { listensTo, targetOf, userOf, type Crowd, type Subject } from './subject.ts';

const findModule = (): { path: string } | { why: string } =>
  debianFile('libnginx-mod-nchan', 'usr/lib/nginx/modules/ngx_nchan_module.so');

/**
 * Messages are kept for a moment only: no client fetches one again, and no subscriber of this load is 64 messages late. nginx
 * would end the connection of a publisher after 1,000 requests, so that limit is off.
 */
const configuration = (port: number, folder: string, module: string): string => `
load_module ${module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nchan.pid;
error_log stderr error;
events { worker_connections 19900; }
http {
  access_log off;
  client_body_temp_path ${folder}/nchan-body;
  proxy_temp_path ${folder}/nchan-proxy;
  fastcgi_temp_path ${folder}/nchan-fastcgi;
  uwsgi_temp_path ${folder}/nchan-uwsgi;
  scgi_temp_path ${folder}/nchan-scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  tcp_nodelay on;
  nchan_shared_memory_size 1024M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /sub {
      nchan_subscriber websocket;
      nchan_channel_id $arg_id;
      nchan_channel_id_split_delimiter ",";
      nchan_subscriber_first_message newest;
      nchan_message_buffer_length 64;
      nchan_message_timeout 30s;
    }
    location = /pub {
      nchan_publisher http;
      nchan_channel_id $arg_id;
      nchan_message_buffer_length 64;
      nchan_message_timeout 30s;
    }
  }
}`;

export const nchan: Subject = {
  name: 'nchan',
  title: 'nginx with nchan',
  missing() {
    if (findBinaries('nginx').length === 0) return 'nginx is not installed';
    const found = findModule();
    return 'why' in found ? `libnginx-mod-nchan: ${found.why}` : undefined;
  },
  cannot: (_context, crowd) => (crowd.does === 'echo' ? 'has no command that is only acked' : undefined),
  versions: () => ({ nginx: debianVersion('nginx'), nchan: debianVersion('libnginx-mod-nchan') }),
  async open({ lab }, crowd) {
    const found = findModule();
    const [bin] = findBinaries('nginx');
    if ('why' in found || bin === undefined) throw new Error('nchan is missing');
    const port = await freePort();
    const file = await lab.file(`nchan-${port}.conf`, [configuration(port, lab.folder, found.path)]);
    const master = lab.start(join(bin, 'nginx'), ['-p', lab.folder, '-c', file, '-e', 'stderr'], {
      stopSignal: 'SIGTERM',
    });
    const worker = await workerOf(master, port);
    const options: ClientOptions = {
      port,
      serverPid: worker,
      dialect: 'nchan',
      connections: crowd.rooms.length,
      countPrefix: '42["',
      publishers: crowd.does === 'publish' ? crowd.senders : 0,
      rooms: await lab.file(
        `${crowd.name}-rooms`,
        crowd.rooms.map((_, i) => targetOf(crowd, i)),
      ),
      paths: await lab.file(
        `${crowd.name}-paths`,
        crowd.rooms.map((_, i) => `/sub?id=${listensTo(crowd, i).join(',')}`),
      ),
      ...(crowd.does === 'publish' ? { command: publish(crowd) } : {}),
    };
    return {
      pids: [worker],
      connect: (connections = crowd.rooms.length) => LoadClient.connect(lab, { ...options, connections }),
      stop: () => master.stop(),
    };
  },
};

function publish(crowd: Crowd): string {
  const length = deliveredFrame(targetOf(crowd, 0), userOf(crowd, 0)).length;
  const head = `POST /pub?id={room} HTTP/1.1{crlf}Host: bench{crlf}Content-Length: ${length}{crlf}{crlf}`;
  return head + deliveredFrame('{room}', userOf(crowd, 0));
}

/** @returns the pid of the worker, once it answers. */
async function workerOf(master: Child, port: number): Promise<number> {
  const ended = master.line(10_000).catch((error: unknown) => error);
  for (const until = Date.now() + 10_000; Date.now() < until;) {
    const failed = await Promise.race([ended, sleep(50)]);
    if (failed instanceof Error) throw failed;
    const [child = 0] = (await readFile(`/proc/${master.pid}/task/${master.pid}/children`, 'utf8'))
      .split(' ')
      .map(Number);
    if (child > 0 && (await answers(port))) return child;
  }
  throw new Error('nginx with nchan did not answer in 10 s');
}

const answers = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) }).then(
    () => true,
    () => false,
  );
