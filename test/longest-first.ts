import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, so that none of them begins when all others have ended: that cost 90 s of 1,000 on two
 * cores. By hand, since a clean checkout has no times of an earlier run.
 */
const longest = [
  'chaos/cluster',
  'browser/reading',
  'browser/conversation',
  'browser/rooms',
  'nginx/nginx',
  'processes/workers',
  'browser/interruption',
  'k6/oracle',
  'browser/',
  'cli/beside',
  'storage/embedded',
  'cli/serve',
  'presence/nodes',
  'clients/clients',
  'cluster/redis-faults',
  'hostile/fuzz',
  'cli/transfer',
  'cluster/removal',
  'storage/driver-connections',
  'cli/sessions',
  'cli/keys',
  'processes/',
  'chaos/',
  'security/',
  'transfer/transfer',
  'messages/histories',
  'cluster/',
  'cli/',
  'storage/redis-states',
  'hostile/',
  'presence/',
  'client/network',
  'search/search',
  'commands/',
];

/** Files that share processes come last and together: a process ends where the next file is not one of them. */
function place({ moduleId, project }: TestSpecification): number {
  if (!project.config.isolate) return longest.length + (project.name === 'shared' ? 1 : 2);
  const at = longest.findIndex((name) => moduleId.includes(`/test/${name}`));
  return at === -1 ? longest.length : at;
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}
