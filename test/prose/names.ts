/** Names and texts in a script. */
import { parseAst } from 'vite';

interface Node {
  readonly type?: string;
  readonly name?: string;
  readonly value?: unknown;
  readonly quasis?: readonly { readonly value: { readonly cooked?: string } }[];
}

/** Words of the code's former private names, which the terms of the glossary replace. */
const privateWords =
  /^(?:told|tells?|heard|hears?|deaf|standings?|handed|asked|tails?|doors?|talk|talkers?|attendance|newcomers?|chores?|keepers?|strays?|mends?|mended|looks?|looked|away|occupancy)$/;

/**
 * Public names, which stay because installations use them: settings such as `PARLEY_TAIL_MESSAGES`, and the label `door` of
 * `parley_redis_up`. Code has the label as the name of that connection. Nodes of two versions exchange messages with `tell`.
 */
const publicNames = /^(?:PARLEY_[A-Z_]+|door|tell)$/;

function nodesOf(path: string, source: string): Node[] {
  const found: Node[] = [];
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) return part.forEach(visit);
    if (typeof part !== 'object' || part === null || part instanceof RegExp) return;
    found.push(part);
    Object.values(part).forEach(visit);
  };
  visit(parseAst(source, { lang: path.endsWith('x') ? 'tsx' : 'ts' }));
  return found;
}

const wordsOf = (name: string): string[] =>
  name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[\s_$]+/);

/** Names of variables, functions, types and fields that have a private word. */
export function privateNames(path: string, source: string): string[] {
  return nodesOf(path, source).flatMap(({ type, name }) =>
    (type === 'Identifier' || type === 'PrivateIdentifier') &&
    name !== undefined &&
    !publicNames.test(name) &&
    wordsOf(name).some((word) => privateWords.test(word))
      ? [name]
      : [],
  );
}

/** Texts of several words. Values that are put in stand as a span of code. */
export function stringsOf(path: string, source: string): string[] {
  return nodesOf(path, source).flatMap(({ type, value, quasis }) => {
    const text =
      type === 'Literal' && typeof value === 'string'
        ? value
        : type === 'TemplateLiteral'
          ? (quasis ?? []).map((part) => part.value.cooked ?? '').join('`x`')
          : '';
    return /[a-z] [a-z]/i.test(text) ? [text] : [];
  });
}
