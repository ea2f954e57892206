/** `parley cache`: what the nodes have in their caches, and how to clear them. For operators, beside running servers. */
import { parseArgs } from 'node:util';
import { StartupError } from '../startup-error.ts';
import type { CacheStats, NodeStats, ReadResult } from '../storage/cache.ts';
import { tagOf, type Tag } from '../storage/cache/kinds.ts';
import { printableValue } from '../telemetry/printable.ts';
import { noNodes, type CommandContext, type WithCache } from './context.ts';

export const cacheHelp = `  cache stats                  print the cached values of each node, and where reads got their values
  cache clear [--tag T]        remove cached values on all nodes; T is room:R, user:U, or kind:K`;

type Print = (line: string) => void;

/** @throws {StartupError} */
export function cacheCommand(args: string[], context: CommandContext): Promise<void> {
  return runCache(args, context.withCache ?? noCache, (line) => context.print(line));
}

function noCache(): never {
  throw new StartupError(`The command cache finds no node: ${noNodes}`);
}

/** @throws {StartupError} */
export async function runCache(args: string[], withCache: WithCache, print: Print): Promise<void> {
  const [action, ...rest] = args;
  if (action === 'stats') {
    options(rest, {});
    return withCache(async (cache) => printStats(await cache.stats(), print));
  }
  if (action === 'clear') {
    const { tag } = options(rest, { tag: { type: 'string' } });
    const known = tag === undefined ? undefined : checkedTag(tag);
    return withCache(async (cache) => {
      if ((await cache.clear(known)) === 'here')
        throw new StartupError('Redis did not take the command, so the nodes keep their cached values. Try again.');
      print(known === undefined ? 'Cleared the cache of all nodes.' : `Removed the cached values of ${known}.`);
    });
  }
  throw new StartupError('The command cache needs stats or clear.\nSee parley --help.');
}

function options<T extends Record<string, { type: 'string' }>>(args: string[], known: T) {
  try {
    return parseArgs({ args, options: known, allowPositionals: false }).values;
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}

function checkedTag(text: unknown): Tag {
  const tag = tagOf(String(text));
  if (tag !== undefined) return tag;
  throw new StartupError(`--tag ${String(text)}: expected room:R, user:U, or kind:K with a kind of docs/caching.md.`);
}

function printStats({ nodes, silent, shared }: CacheStats, print: Print): void {
  for (const node of nodes) for (const line of linesOf(node)) print(line);
  if (shared !== undefined) print(`Redis  ${shared.entries} values  ${shared.bytes} bytes`);
  // a node without an answer is known by the id of its process alone
  if (silent.length > 0) print(`No answer from ${silent.length} nodes.`);
}

/** Figures come from other nodes over Redis, where other programs may write too. */
export function linesOf({ node, entries, bytes, loading, shared, reads }: NodeStats): string[] {
  const state = shared ? 'shares its values' : 'is alone';
  const values = [node, state, `${entries} values`, `${bytes} bytes`, `${loading} loads`];
  const lines = [values.map(printableValue).join('  ')];
  for (const [kind, results] of Object.entries(reads)) {
    const all = Object.values(results).reduce((sum, count) => sum + count, 0);
    const of = (result: ReadResult): number => results[result] ?? 0;
    const hits = of('local') + of('shared') + of('stale');
    const share = all === 0 ? 0 : Math.round((1000 * (hits + of('joined'))) / all) / 10;
    const counts = Object.entries(results).map(([result, count]) => `${result} ${count}`);
    lines.push(['', kind, ...counts, `${share} % without a load`].map(printableValue).join('  '));
  }
  return lines;
}
