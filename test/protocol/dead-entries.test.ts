/** Error codes, close codes and labels of metrics that are declared, and that no code gives, would be promises without a keeper. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { errorCatalogue, type ErrorCode } from '../../src/protocol/errors.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

const declarations = [
  'src/protocol/errors.ts',
  'src/protocol/cases.ts',
  'src/telemetry/metrics.ts',
  'src/telemetry/cache-metrics.ts',
  'src/telemetry/labels.ts',
];

/** The server's code without the declarations themselves. */
const server = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !/^(client|web|react)\//.test(file))
  .map((file) => `src/${file}`)
  .filter((file) => !declarations.includes(file) && !file.startsWith('src/protocol/commands/'))
  .map(read)
  .join('\n');
/** Functions of Postgres name the outcome of a command by the code. */
const functions = read('test/schema.sql');

const codes = Object.keys(errorCatalogue) as ErrorCode[];
/** `close(reason, code)`: the one way by which a close code goes out. */
const closing = new Set(Array.from(server.matchAll(/\.close\(\s*'\w+',\s*'(\w+)'/g), ([, code]) => code));

describe('each declared entry is used somewhere', () => {
  it.each(codes)('the error %s', (code) => {
    const thrown = new RegExp(
      String.raw`ParleyError\(\s*(?:[^;]*?\? )?'${code}'|code: '${code}'|\? '${code}'|: '${code}'`,
    );
    const outcome = new RegExp(String.raw`(outcome := |refusal := |return |then |else )'${code}'`);
    expect(thrown.test(server) || outcome.test(functions) || closing.has(code)).toBe(true);
  });

  it('each close code, and no connection is closed for an error without one', () => {
    const withCode = codes.filter((code) => 'closeCode' in errorCatalogue[code]);
    expect([...closing].sort()).toEqual(withCode.sort());
  });

  const unions = Array.from(
    read('src/telemetry/labels.ts').matchAll(/^export type (\w+) =([^;]*'[^;]*);/gm),
    (found) => ({
      name: found[1] ?? '',
      labels: Array.from((found[2] ?? '').matchAll(/'(\w+)'/g), ([, label]) => label ?? ''),
    }),
  );

  it.each(unions)('each label of $name', ({ name, labels }) => {
    expect(labels.length).toBeGreaterThan(0);
    const where = name === 'InternalError' ? 'where: ' : '';
    const dead = labels.filter((label) => !server.includes(`${where}'${label}'`));
    expect(dead).toEqual([]);
  });

  it('each reason for which a connection ends', () => {
    const { labels = [] } = unions.find(({ name }) => name === 'ClosedConnection') ?? {};
    const given = new Set(
      Array.from(
        server.matchAll(
          /(?:\.close\(\s*|\.end\(|closedFor \?\?= |reason: ClosedConnection = |return (?:[^;]*\? )?|: )'(\w+)'/g,
        ),
        ([, reason]) => reason,
      ),
    );
    expect(labels.filter((label) => !given.has(label))).toEqual([]);
  });

  it('each metric', () => {
    const declared = Array.from(
      read('src/telemetry/metrics.ts').matchAll(/^ {2}readonly (\w+) = /gm),
      ([, name]) => name,
    );
    expect(declared.length).toBeGreaterThan(50);
    expect(declared.filter((name) => !new RegExp(String.raw`\b${name}\b`).test(server))).toEqual([]);
    // the names of these are common words: the part that has them is named before
    const ofCache = Array.from(
      read('src/telemetry/cache-metrics.ts').matchAll(/^ {2}(?:readonly (\w+)[:;]|(\w+)\(read)/gm),
    );
    expect(ofCache.length).toBeGreaterThan(5);
    const counted: Record<string, string> = {
      evicted: 'evict',
      invalidations: 'invalidated',
      drains: 'drained',
      errors: 'failed',
    };
    const dead = ofCache
      .map(([, counter, watch]) => counter ?? watch ?? '')
      .filter((name) => !new RegExp(String.raw`\bmetrics\.${counted[name] ?? name}\b`).test(server));
    expect(dead).toEqual([]);
  });
});
