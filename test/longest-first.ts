import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, so that none of them begins when all others have ended: that cost 90 s of 1,000 on two
 * cores. By hand, since a clean checkout has no times of an earlier run.
 */
const longest = [
  'chaos/cluster',
  'browser/rooms',
  'browser/talk',
  'browser/conversation',
  'browser/changes',
  'transfer/transfer',
  'processes/workers',
  'hostile/fuzz',
  'k6/oracle',
  'clients/clients',
  'cli/serve',
  'nginx/nginx',
  'cluster/removal',
  'storage/embedded',
  'presence/nodes',
  'search/search',
  'cluster/restore',
  'chaos/crash',
  'commands/user-shares',
  'cluster/redis-faults',
  'browser/',
  'messages/histories',
];

/** Files that share processes come last and together: a process ends where the next file is not one of them. */
function place({ moduleId, project }: TestSpecification): number {
  if (project.config.isolate === false) return longest.length + 1;
  const at = longest.findIndex((name) => moduleId.includes(`/test/${name}`));
  return at === -1 ? longest.length : at;
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}
