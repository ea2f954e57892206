import { parseArgs } from 'node:util';
import { StartupError } from '../startup-error.ts';

type Options = Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>;
type Values<T extends Options> = {
  readonly [K in keyof T]?: (T[K]['type'] extends 'string' ? string : boolean) | undefined;
};

/** @throws {StartupError} for an unknown option. */
export function parseOptions<T extends Options>(args: string[], options: T): Values<T> {
  return parse(args, options, false).values;
}

/** The same, with arguments that are no options. */
export function parseArguments<T extends Options>(
  args: string[],
  options: T,
): { readonly values: Values<T>; readonly positionals: string[] } {
  return parse(args, options, true);
}

function parse<T extends Options>(args: string[], options: T, allowPositionals: boolean) {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals });
    return { values: values as Values<T>, positionals };
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}
