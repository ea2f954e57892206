import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { RedisFanout } from '../../src/fanout/redis.ts';
import { openRedis } from '../../src/storage/redis.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { fanoutContract } from '../contract/fanout.contract.ts';
import { silentLog } from '../support/messaging.ts';

for (const partitions of [1, 16]) {
  fanoutContract(`Redis with ${partitions} partition(s)`, async (receive) => {
    const link = await openRedis({ url: inject('redisUrl'), log: silentLog });
    const fanout = new RedisFanout({
      link,
      prefix: `test-${randomBytes(6).toString('hex')}:`,
      partitions,
      installation: { id: crypto.randomUUID(), epoch: crypto.randomUUID() },
      otherEpoch: () => undefined,
      metrics: new Metrics(),
      log: silentLog,
    });
    fanout.listen(receive);
    await fanout.open();
    const close = async (): Promise<void> => {
      await fanout.close();
      await link.close();
    };
    return { fanout, close, disconnect: () => void link.close() };
  });
}
