import { stripVTControlCharacters } from 'node:util';
import { appendFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Appends a line for each failure of a run to a file. A failure belongs to a test, to a hook of a group, to a file, or to
 * no file. `.ci/run` prints these lines last, because the end of a log is kept longest. The JSON report of Vitest leaves
 * out a failure of a hook.
 */
export class FailedTests implements Reporter {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const lines = [
      ...modules.flatMap((module) => failures(module)),
      ...unhandled.map((error) => line('vitest', 'outside of the tests', error)),
    ];
    if (lines.length > 0) appendFileSync(this.#file, `${lines.join('\n')}\n`);
  }
}

function failures(module: TestModule): string[] {
  const file = module.relativeModuleId;
  return [
    ...module.errors().map((error) => line(file, 'the file', error)),
    ...[...module.children.allSuites()].flatMap((suite) =>
      suite.errors().map((error) => line(file, suite.fullName, error)),
    ),
    ...[...module.children.allTests('failed')].map((test) =>
      line(file, test.fullName, test.result().errors?.[0] ?? { message: 'no message' }),
    ),
  ];
}

function line(file: string, title: string, { message }: { readonly message: string }): string {
  return `FAILED ${file} > ${title}: ${stripVTControlCharacters(message).replaceAll(/\s+/g, ' ').slice(0, 300)}`;
}
