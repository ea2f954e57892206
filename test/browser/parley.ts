/** Parley as its users start it: the built program with its embedded database, on a folder and a port of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { freePort, run } from '../support/processes.ts';
import { entry, makeDataDir } from '../support/spawn.ts';
import { until } from '../support/until.ts';

/** Whether invited users join at once, which needs fewer clicks. By default they receive an invitation. */
export type Adding = 'consent' | 'direct';

/** Further settings of the server. */
export type Settings = Readonly<Record<string, string>>;

export class Parley {
  readonly url: string;
  readonly #port: number;
  readonly #adding: Adding;
  readonly #settings: Settings;
  readonly #data = makeDataDir();
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(port: number, adding: Adding, settings: Settings) {
    this.#port = port;
    this.#adding = adding;
    this.#settings = settings;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(adding: Adding = 'direct', settings: Settings = {}): Promise<Parley> {
    if (!existsSync(entry)) throw new Error(`${entry} is not there: npm run build`);
    const parley = new Parley(await freePort(), adding, settings);
    await parley.start();
    return parley;
  }

  /** Also after `kill` and `pause`: the same folder on the same port. */
  async start(): Promise<void> {
    this.#output = '';
    this.#child = spawn(process.execPath, [entry, 'serve'], { env: this.#env() });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
    await until('Parley answers', () => this.#answers(), 180_000);
  }

  /** Without a chance to say goodbye. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Stops it, and leaves the folder to its other commands. */
  async pause(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Another command of the program on the same folder. @returns its output */
  async command(...args: string[]): Promise<string> {
    return run(process.execPath, [entry, ...args], { env: this.#env() });
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    this.#data.remove();
  }

  async guest(name: string): Promise<{ token: string; user: { id: string; name: string } }> {
    const answer = await fetch(`${this.url}/api/v1/auth/guest`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
    });
    return (await answer.json()) as { token: string; user: { id: string; name: string } };
  }

  #env(): NodeJS.ProcessEnv {
    const { PATH, HOME } = process.env;
    const where = { PORT: String(this.#port), PARLEY_HOST: '127.0.0.1', PARLEY_DATA_DIR: this.#data.path };
    return { PATH, HOME, ...where, PARLEY_GUESTS_PER_MINUTE: '6000', PARLEY_ADDING: this.#adding, ...this.#settings };
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  async #answers(): Promise<boolean> {
    if (this.#child?.exitCode !== null) throw new Error(`Parley ended:\n${this.#output}`);
    const answer = await fetch(`${this.url}/health`).catch(() => undefined);
    return answer?.ok === true;
  }
}
