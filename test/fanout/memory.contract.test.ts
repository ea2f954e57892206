import { MemoryFanout } from '../../src/fanout/memory.ts';
import { fanoutContract } from '../contract/fanout.contract.ts';

fanoutContract('memory', (receive) => {
  const fanout = new MemoryFanout(receive);
  return Promise.resolve({ fanout, close: () => fanout.close() });
});
