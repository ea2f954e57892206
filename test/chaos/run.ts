/**
 * `npm run test:chaos -- --minutes 30 --seed 7`: the cluster under faults by a plan that the seed gives, for so long.
 *
 *   --rate 200         messages a second
 *   --stop-ms 20000    how long a stopped node is stopped
 *   --kill-at-rate 5000   something else: kill -9 of nodes, Redis and Postgres, --kills 5 of each, at that many messages a second
 *   --of node,redis       of these alone
 */
import { parseArgs } from 'node:util';
import { runCluster } from './cluster.ts';
import { killAtRate } from './kill-at-rate.ts';
import { reportLines } from './report.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '200' },
    'stop-ms': { type: 'string', default: '20000' },
    'kill-at-rate': { type: 'string' },
    kills: { type: 'string', default: '5' },
    of: { type: 'string', default: 'node,redis,postgres' },
  },
});

const say = (line: string): void => console.log(line);

if (values['kill-at-rate'] !== undefined) {
  const plan = { rate: Number(values['kill-at-rate']), kills: Number(values.kills), of: values.of, say };
  process.exitCode = (await killAtRate(plan)) ? 0 : 1;
} else {
  say(`seed ${values.seed}`);
  const report = await runCluster({
    seed: Number(values.seed),
    // more than there is time for
    mixed: 100_000,
    minutes: Number(values.minutes),
    stopMs: Number(values['stop-ms']),
    rate: Number(values.rate),
    say,
  });
  for (const line of reportLines(report)) say(line);
  process.exitCode = report.recorder.found === 0 ? 0 : 1;
}
