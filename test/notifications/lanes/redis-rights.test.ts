/** Lanes of a user of Redis with no more rights than docs/deployment.md names. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { expect, inject, it, onTestFinished } from 'vitest';
import type { JobHandler } from '../../../src/notifications/lanes/lanes.ts';
import { openLanesOf } from '../../support/lanes.ts';
import { until } from '../../support/until.ts';

const page = readFileSync(fileURLToPath(new URL('../../../docs/deployment.md', import.meta.url)), 'utf8');
const documented = /^ *ACL SETUSER parley on >PASSWORD (.+)$/m.exec(page)?.[1];

it('run with the rights that the page of deployment names', async () => {
  const prefix = `test-${randomBytes(6).toString('hex')}:`;
  const user = `limited-${randomBytes(6).toString('hex')}`;
  const admin = new Redis(inject('redisUrl'));
  onTestFinished(async () => {
    await admin.call('ACL', 'DELUSER', user);
    await admin.quit();
  });
  const rights = documented?.replaceAll('parley:*', `${prefix}*`).split(' ') ?? [];
  await admin.call('ACL', 'SETUSER', user, 'on', '>secret', ...rights);
  const url = new URL(inject('redisUrl'));
  [url.username, url.password] = [user, 'secret'];
  const opened = await openLanesOf({ redisUrl: url.href, prefix });
  onTestFinished(() => opened.close());
  const { lanes } = opened;
  const ran: string[] = [];
  let failures = 0;
  const handler: JobHandler = ({ id }) => {
    if (id === 'fails' && failures++ === 0) return Promise.reject(new Error('once'));
    ran.push(id);
    return Promise.resolve(
      id === 'again' && ran.filter((one) => one === id).length === 1 ? { again: Date.now() + 100 } : { done: true },
    );
  };
  const common = { lane: 'high', kind: 'test', data: null } as const;
  const later = { ...common, id: 'cancelled', notBefore: Date.now() + 60_000 };
  await lanes.add([later, { ...common, id: 'again' }, { ...common, id: 'fails' }]);
  await lanes.cancel([later]);
  lanes.work({ test: handler });
  await until('all jobs ran', () => ran.length === 3, 30_000);
  expect(ran.toSorted()).toEqual(['again', 'again', 'fails']);
  await until('no job is left', async () => {
    const { waiting, delayed, running } = (await lanes.depths()).high;
    return waiting + delayed + running === 0;
  });
  const denied = (await admin.call('ACL', 'LOG')) as unknown[][];
  expect(denied.filter((entry) => entry.includes(user))).toEqual([]);
});
