/** Control characters of users never reach the terminal of an operator. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { sessionLine } from '../../src/cli/sessions.ts';
import { printable, printableValue } from '../../src/telemetry/printable.ts';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

it.each([
  ['\u001b[31mred\u0007', '\\u001b[31mred\\u0007'],
  ['\u009b2J\u009d0;title\u009c', '\\u009b2J\\u009d0;title\\u009c'],
  ['\u007f\u0000', '\\u007f\\u0000'],
  ['\u202egnp.exe\u2066\u2069', '\\u202egnp.exe\\u2066\\u2069'],
  ['\ud800', '\\ud800'],
  ['Zoë 👩‍👩‍👧 日本\n\tx', 'Zoë 👩‍👩‍👧 日本\n\tx'],
])('%j is printed as %j', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

it('a value keeps its line', () => {
  expect(printableValue('a\nb\tc\u2028')).toBe('a\\u000ab\\u0009c\\u2028');
});

it('a session is one line, whatever its node, device and agent say', () => {
  const evil = '\u009b2J\nsecond line\u001b[8m';
  const session = { session: '~s', user: 'eve', node: evil, address: evil, device: evil, agent: evil, since: 0 };
  const shown = '\\u009b2J\\u000asecond line\\u001b[8m';
  expect(sessionLine(session)).toBe(['~s', '1970-01-01T00:00:00.000Z', shown, shown, shown, shown].join('  '));
});

it('readable logs show the controls of a name instead of sending them', () => {
  const script = `
    import { createLog } from ${JSON.stringify(`${src}telemetry/log.ts`)};
    const log = createLog({ level: 'info', pretty: true, node: 'n' });
    log.info({ name: '\\u009b31m', err: new Error('\\u001b]52;c;x\\u0007') }, 'hello \\u001b[2J');
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], NO_COLOR: '1' },
  });
  expect(stderr).toBe('');
  expect(stdout).toContain('hello \\u001b[2J');
  expect(stdout).toContain('u009b31m');
  expect(stdout).toContain('\\u001b]52;c;x\\u0007');
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

it('the program prints by one function', () => {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !/^(client|react|web)\//.test(file),
  );
  const calls = files.flatMap((file) =>
    readFileSync(`${src}${file}`, 'utf8')
      .split('\n')
      .filter((line) => /console\.\w+\(/.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  // counts and texts of the program's own
  const own = /cli\/transfer\.ts: console\.error\(`(Exported|Imported) \$\{done\.rooms\}|'Second signal: /;
  expect(calls.filter((call) => !call.includes('printable(') && !own.test(call))).toEqual([]);
});
