/** One setting: its variable, its help, its parser and its default. */
import type { Parser } from '../values.ts';

export interface Key<T> {
  readonly env: string;
  readonly about: string;
  readonly parse: Parser<T>;
  /** As text, the way an operator would write it. Absent: unset is `undefined`. */
  readonly default?: string;
  readonly secret?: true;
  /** The value may have several lines. */
  readonly lines?: true;
}

export type ValueOf<K> = K extends { default: string }
  ? K extends Key<infer T>
    ? T
    : never
  : K extends Key<infer T>
    ? T | undefined
    : never;

export const key = <T>(
  env: string,
  about: string,
  parse: Parser<T>,
  byDefault: string,
): Key<T> & { default: string } => ({ env, about, parse, default: byDefault });

export const optional = <T>(env: string, about: string, parse: Parser<T>): Key<T> => ({ env, about, parse });

export const secret = <T>(env: string, about: string, parse: Parser<T>): Key<T> => ({
  env,
  about,
  parse,
  secret: true,
});
