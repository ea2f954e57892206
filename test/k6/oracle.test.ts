/**
 * The oracle of the load tests finds faults. k6 runs `baseline` against a real server, and against the same server behind a
 * link that breaks one promise. Without k6 these tests are left out, and a line says so.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findK6 } from '../../k6/find-k6.ts';
import { startServer, testSecret, type TestServer } from '../support/server.ts';
import { startFaultyLink, type Fault } from './faulty-link.ts';

const k6 = findK6();
const root = fileURLToPath(new URL('../..', import.meta.url));
if (k6 === undefined) {
  console.warn(
    'LEFT OUT: the oracle of the load tests was not tested, there is no k6 (in PATH, ~/go/bin, or named by K6).',
  );
}

interface Outcome {
  readonly code: number | null;
  readonly failed: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly page: string;
}

interface Written {
  report: {
    verdicts: { metric: string; ok: boolean }[];
    counters: { name: string; count: number }[];
  };
}

/**
 * At the edges of a run, a dropped message is no fault for a user that joined later or has left. The oracle may not find more
 * faults than the link made.
 */
function found(count = 0, faults: number): boolean {
  return count > 0 && count <= faults && count > faults / 2;
}

// Each run mostly waits, and has users and rooms of its own.
describe.skipIf(k6 === undefined)('the oracle of the load tests', { concurrent: true }, () => {
  let server: TestServer;
  const folder = mkdtempSync(join(tmpdir(), 'parley-k6-test-'));
  beforeAll(async () => {
    server = await startServer({ PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '10000' });
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function run(fault: Fault, script = 'baseline'): Promise<Outcome & { faults: number }> {
    const link = await startFaultyLink(server.url, fault);
    const name = `${script}-${fault.replaceAll(' ', '-')}`;
    try {
      const child = spawn(k6 ?? '', ['run', '--quiet', '--no-usage-report', `k6/${script}.js`], {
        cwd: root,
        stdio: ['ignore', 'ignore', 'pipe'],
        env: {
          PATH: process.env['PATH'],
          PARLEY_URL: link.url,
          PARLEY_SECRET: testSecret,
          RESULTS: folder,
          RESULT_NAME: name,
          SHORT: '1',
          USERS: '10',
          PER_VU: '5',
          SECONDS: '6',
          RAMP: '1',
          RATE: '4',
          // what this link drops it drops for good: other events need this time on a busy machine
          ...(fault.startsWith('drop ') ? { SETTLE_SECONDS: '5' } : {}),
          // one virtual user: all users check after the last answer, on a slow machine too
          ...(fault === 'drop the very last' ? { PER_VU: '10' } : {}),
        },
      });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-5000)));
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', resolve);
      });
      if (code !== 0 && code !== 99) throw new Error(`k6 ended with ${code}: ${said}`);
      const { report } = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Written;
      return {
        code,
        faults: link.faults(),
        failed: report.verdicts.filter(({ ok }) => !ok).map(({ metric }) => metric.replace('parley_', '')),
        counts: Object.fromEntries(report.counters.map(({ name: metric, count }) => [metric.slice(7), count])),
        page: readFileSync(join(folder, `${name}.html`), 'utf8'),
      };
    } finally {
      await link.close();
    }
  }

  it('is content with a server that keeps its promises', { timeout: 120_000 }, async () => {
    const { code, failed, counts, page } = await run('none');
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    expect(counts).toMatchObject({ lost: 0, doubled: 0, reordered: 0, unrecovered: 0, unaudited: 0, finished: 10 });
    expect(counts['audited']).toBe(counts['acked']);
    expect(counts['delivered']).toBeGreaterThan((counts['acked'] ?? 0) * 5);
    expect(page).toContain('Passed');
    expect(page).not.toMatch(/<script|(?:src|href)=/);
  });

  it('finds each event that does not come', { timeout: 120_000 }, async () => {
    const { code, failed, counts, faults } = await run('drop');
    expect({ code, failed }).toEqual({ code: 99, failed: ['lost'] });
    expect(found(counts['lost'], faults)).toBe(true);
  });

  it('finds events that are missing at the end, where nothing follows to show it', { timeout: 120_000 }, async () => {
    const { code, failed, counts, faults } = await run('drop last');
    expect({ code, failed }).toEqual({ code: 99, failed: ['lost'] });
    expect(found(counts['lost'], faults)).toBe(true);
  });

  it('finds for all what is missing when only one still sends', { timeout: 120_000 }, async () => {
    const { code, failed, counts, faults } = await run('drop the very last');
    expect({ code, failed }).toEqual({ code: 99, failed: ['lost'] });
    expect(faults).toBeGreaterThan(0);
    expect(counts['lost']).toBe(faults);
  });

  it('finds each event that comes twice', { timeout: 120_000 }, async () => {
    const { code, failed, counts, faults } = await run('double');
    expect({ code, failed }).toEqual({ code: 99, failed: ['doubled'] });
    expect(found(counts['doubled'], faults)).toBe(true);
  });

  it('finds events in the wrong order', { timeout: 120_000 }, async () => {
    const { code, failed, counts } = await run('swap');
    expect(code).toBe(99);
    expect(failed).toContain('reordered');
    expect(counts['reordered']).toBeGreaterThan(0);
    expect(counts['doubled']).toBe(0);
  });

  it('finds messages that were acknowledged and are gone, and that no pull returns', { timeout: 120_000 }, async () => {
    const { code, failed, counts } = await run('forget');
    expect(code).toBe(99);
    expect(failed).toEqual(expect.arrayContaining(['lost', 'unrecovered']));
    expect(counts['unrecovered']).toBeGreaterThan(0);
    expect(counts['audited']).toBeLessThan(counts['acked'] ?? 0);
  });

  it('finds what is missing after a return', { timeout: 120_000 }, async () => {
    const { code, failed } = await run('forget', 'reconnect');
    expect(code).toBe(99);
    expect(failed).toContain('unrecovered');
  });
});
