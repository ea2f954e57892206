/** The queues of notifications, and the roles of a process. */
import { lanes } from '../../protocol/lanes.ts';
import { list, number, oneOf, type Parser } from '../values.ts';
import { key } from './key.ts';

const roles = ['gateway', 'api', 'worker'] as const;
export type Role = (typeof roles)[number];

/** One number for each lane, in their order. */
function slots(): Parser<readonly number[]> {
  const numbers = list(number(1, 1000));
  return (source) => {
    const parsed = numbers(source);
    return parsed.ok && parsed.value.length === lanes.length
      ? parsed
      : { ok: false, expected: `${lanes.length} whole numbers from 1 to 1000 by comma, for ${lanes.join(', ')}` };
  };
}

/** One listener serves the sockets and REST, so that the two roles are one choice. */
function roleList(): Parser<readonly Role[]> {
  const some = list(oneOf(...roles));
  return (source) => {
    const parsed = some(source);
    const value = parsed.ok ? parsed.value : [];
    if (value.length === 0 || value.includes('gateway') !== value.includes('api'))
      return { ok: false, expected: '`gateway,api,worker`, `gateway,api` or `worker`' };
    return { ok: true, value };
  };
}

export const laneKeys = {
  roles: key(
    'PARLEY_ROLES',
    'Work of a process: `gateway,api` serves clients, and `worker` runs the jobs of notifications. A process without `gateway,api` needs REDIS_URL, and serves its health on PARLEY_ADMIN_PORT alone.',
    roleList(),
    'gateway,api,worker',
  ),
  laneSlots: key(
    'PARLEY_LANE_SLOTS',
    'Jobs that a process with the role `worker` runs at once in the lanes `critical`, `high`, `normal`, `low` and `batch`. Idle slots of a lane are lent to the lanes after it.',
    slots(),
    '16,8,4,2,1',
  ),
  laneEviction: key(
    'PARLEY_LANE_EVICTION',
    '`refuse`: Parley does not start with a Redis that may evict jobs of notifications (maxmemory-policy other than noeviction). `allow`: Parley starts, and adds evicted jobs again from Postgres.',
    oneOf('refuse', 'allow'),
    'refuse',
  ),
} as const;
