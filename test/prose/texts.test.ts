/** The texts that operators and clients read in the program keep the prose rule (CONTRIBUTING.md, "Prose"). */
import { describe, expect, it } from 'vitest';
import { help } from '../../src/cli/help.ts';
import { configKeys } from '../../src/config/keys/all.ts';
import { errorKinds } from '../../src/protocol/errors.ts';
import { hazards } from '../../src/storage/durability.ts';
import { problemTexts } from '../../src/storage/redis-refusal.ts';
import { faults } from './faults.ts';
import { textsInCode } from './texts.ts';

const shown = (place: string, text: string): string[] =>
  faults(text).map(({ rule, sentence }) => `${place}: ${rule}: ${sentence}`);

/** An error may begin with the path of the bad field, a name of code: `user: you cannot block yourself.` */
const withoutField = (text: string): string => text.replace(/^[a-z][\w.]*: /i, '`field`: ');

const texts = textsInCode();

describe('the prose rule holds for', () => {
  it.each(Object.values(configKeys))('the help of $env', ({ env, about }) => {
    expect(shown(env, about)).toEqual([]);
    expect(about).toMatch(/\.$/);
  });

  it.each(Object.entries(errorKinds))('the error %s', (code, { message }) => {
    expect(shown(code, message)).toEqual([]);
  });

  it.each(Object.entries({ ...problemTexts, ...hazards }))(
    'the cause %s, which is part of a sentence',
    (name, text) => {
      expect(shown(name, `- ${text}`)).toEqual([]);
    },
  );

  it('the help of every metric', () => {
    const metrics = texts.filter(({ kind }) => kind === 'metric');
    expect(metrics.length).toBeGreaterThan(70);
    expect(metrics.flatMap(({ file, text }) => shown(file, text))).toEqual([]);
  });

  it('the help of the command line', () => {
    const lines = help.split('\n');
    // an option and its description are two columns; a description is a fragment, as an item of a list
    const described = lines.flatMap((line) => /^ {2,}\S.*? {2,}(\S.*)$/.exec(line)?.[1] ?? []);
    expect(described.length).toBeGreaterThan(12);
    expect(described.flatMap((text) => shown('help', `- ${text}`))).toEqual([]);
    const prose = lines.filter((line) => /^[A-Z]/.test(line)).join('\n');
    expect(shown('help', prose)).toEqual([]);
  });

  it('log lines and errors', () => {
    expect(texts.filter(({ kind }) => kind === 'log').length).toBeGreaterThan(60);
    expect(texts.filter(({ kind }) => kind === 'error').length).toBeGreaterThan(100);
    // of each form in which a text is written: an argument, a returned text, a problem of the configuration
    for (const part of ['Parley needs Postgres', 'has no TLS', 'expected one of `x` and'])
      expect(
        texts.some(({ text }) => text.includes(part)),
        part,
      ).toBe(true);
    const found = texts
      .filter(({ kind }) => kind !== 'metric')
      .flatMap(({ file, kind, text }) => shown(file, kind === 'error' ? withoutField(text) : text));
    expect(found).toEqual([]);
  });
});
