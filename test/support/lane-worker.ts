/** A process that begins each job of its lanes and ends none. Its argument is the store as JSON. */
import { openLanesOf, type LaneStore } from './lanes.ts';

const { lanes } = await openLanesOf(JSON.parse(process.argv[2] ?? '') as LaneStore);
const never = new Promise<never>(() => {});
if (process.argv[3] !== undefined) await lanes.add([{ id: process.argv[3], lane: 'high', kind: 'test', data: {} }]);
lanes.work({
  test: (job) => {
    console.log(`began ${job.id}`);
    return never;
  },
});
