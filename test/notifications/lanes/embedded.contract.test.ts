import { afterAll } from 'vitest';
import { laneContract } from '../../contract/lanes.contract.ts';
import { makeDataDir, type DataDir } from '../../support/spawn.ts';

const folders: DataDir[] = [];
afterAll(() => {
  for (const folder of folders) folder.remove();
});

laneContract('the embedded database', () => {
  const folder = makeDataDir();
  folders.push(folder);
  return Promise.resolve({ dataDir: folder.path, prefix: '' });
});
