/** Where the node listens, its name, and its workers. */
import { countOrAuto, host, number, text } from '../values.ts';
import { key, optional } from './key.ts';

export const listeningKeys = {
  port: key('PORT', 'Port of the server. 0 takes a free port.', number(0, 65535), '3000'),
  host: optional(
    'PARLEY_HOST',
    'Address to listen on; IPv6 with or without brackets. Default: 127.0.0.1 in the embedded demo, else all addresses.',
    host(),
  ),
  adminPort: optional(
    'PARLEY_ADMIN_PORT',
    'Port for operators: `/metrics`, and `/ready` with the result of each check. If it is set, the public port serves neither. Unset: the public port serves both.',
    number(0, 65535),
  ),
  adminHost: key('PARLEY_ADMIN_HOST', 'Address that the admin port listens on.', host(), '127.0.0.1'),
  nodeName: optional('PARLEY_NODE', 'Name of this process in logs and in `ready`. Default: random.', text(1, 64)),

  workers: optional(
    'PARLEY_WORKERS',
    'Gateway processes that share the port: a number, or `auto` for one on each core. Several workers need REDIS_URL. Unset: one process without a parent.',
    countOrAuto(1, 256),
  ),
} as const;
