/**
 * Clients of other languages against a started server: `npm run test:interop [python] [java]`. See README.md here. A
 * language whose tools this machine lacks is left out, and said to be; only a scenario that failed fails the run.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parley } from '../browser/parley.ts';
import { temporaryFolder } from '../support/processes.ts';

interface Language {
  /** Programs that have to be there, with the arguments that make them print their version. */
  readonly needs: readonly (readonly string[])[];
  readonly modes: number;
  /** Gets the packages into the folder. @returns the command that runs the scenario. */
  prepare(folder: string): readonly [string, ...string[]];
}

/** For a scenario as a whole. */
const limitMs = 5 * 60_000;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const languages: Readonly<Record<string, Language>> = {
  python: {
    needs: [['python3', '-m', 'venv', '--help']],
    modes: 5,
    prepare(folder) {
      execute('python3', '-m', 'venv', folder);
      execute(join(folder, 'bin', 'pip'), 'install', '--quiet', '-r', here('python/requirements.txt'));
      return [join(folder, 'bin', 'python'), here('python/scenario.py')];
    },
  },
  java: {
    needs: [
      ['javac', '-version'],
      ['mvn', '--version'],
    ],
    modes: 3,
    prepare(folder) {
      cpSync(here('java'), folder, { recursive: true });
      const paths = join(folder, 'paths');
      const maven = ['--batch-mode', '--quiet', '-Dstyle.color=never', '--file', join(folder, 'pom.xml')];
      execute('mvn', ...maven, 'compile', 'dependency:build-classpath', `-Dmdep.outputFile=${paths}`);
      const classes = [join(folder, 'target', 'classes'), readFileSync(paths, 'utf8').trim()].join(delimiter);
      return ['java', '-cp', classes, 'Scenario'];
    },
  },
};

function execute(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

function missing({ needs }: Language): string | undefined {
  const absent = needs.find(([program = '', ...args]) => {
    try {
      execFileSync(program, args, { stdio: 'ignore' });
      return false;
    } catch {
      return true;
    }
  });
  return absent?.join(' ');
}

/** Runs the scenario, restarting the server when it asks for that. @returns how many of its modes passed. */
async function scenario(parley: Parley, command: readonly [string, ...string[]]): Promise<number> {
  const [program, ...args] = command;
  const [first, second] = [await parley.guest('Ann'), await parley.guest('Ben')];
  const child: ChildProcess = spawn(program, args, {
    env: { ...process.env, PARLEY_URL: parley.url, PARLEY_TOKEN_1: first.token, PARLEY_TOKEN_2: second.token },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const tired = setTimeout(() => child.kill('SIGKILL'), limitMs);
  let passed = 0;
  let rest = '';
  child.stdout?.setEncoding('utf8');
  for await (const text of (child.stdout ?? []) as AsyncIterable<string>) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('passed ')) passed++;
      if (line !== 'restart') console.log(`  ${line}`);
      else {
        await parley.kill();
        await parley.start();
        child.stdin?.write('restarted\n');
      }
    }
  }
  const code = await ended;
  clearTimeout(tired);
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return passed;
}

async function test(name: string, language: Language): Promise<'passed' | 'failed' | 'left out'> {
  const absent = missing(language);
  if (absent !== undefined) {
    console.log(`${name}: LEFT OUT, this machine cannot run \`${absent}\``);
    return 'left out';
  }
  const folder = temporaryFolder(`parley-interop-${name}-`);
  const parley = await Parley.start();
  try {
    console.log(`${name}:`);
    const passed = await scenario(parley, language.prepare(folder));
    if (passed !== language.modes) throw new Error(`${passed} of ${language.modes} modes passed`);
    return 'passed';
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    return 'failed';
  } finally {
    await parley.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const requested = process.argv.slice(2);
const unknown = requested.filter((name) => !(name in languages));
if (unknown.length > 0)
  throw new Error(`no such language: ${unknown.join()}; there are ${Object.keys(languages).join()}`);
const results: string[] = [];
for (const [name, language] of Object.entries(languages)) {
  if (requested.length > 0 && !requested.includes(name)) continue;
  const result = await test(name, language);
  results.push(`${name} ${result}`);
  if (result === 'failed') process.exitCode = 1;
}
console.log(results.join(', '));
