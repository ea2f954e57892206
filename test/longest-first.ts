import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, so that none of them begins when all others have ended: that cost 90 s of 1,000 on two
 * cores. By hand, since a clean checkout has no times of an earlier run.
 */
const longest = [
  'chaos/cluster',
  'browser/conversation',
  'browser/changes',
  'cli/transfer',
  'storage/embedded',
  'workers/workers',
  'hostile/fuzz',
  'k6/oracle',
  'clients/clients',
  'cli/serve',
  'presence/nodes',
  'chaos/crash',
  'nginx/nginx',
  'browser/',
  'messaging/histories',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.includes(`/test/${name}`));
      return at === -1 ? longest.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}
