/** The titles of tests and of their groups. */
import { parseAst } from 'vite';

interface Node {
  readonly type?: string;
  readonly name?: string;
  readonly value?: unknown;
  readonly start?: number;
  readonly callee?: Node;
  readonly object?: Node;
  readonly tag?: Node;
  readonly arguments?: readonly Node[];
  readonly quasis?: readonly { readonly value: { readonly cooked?: string } }[];
}

export interface Title {
  readonly line: number;
  /** A value that is put in stands as a span of code. */
  readonly text: string;
}

/** `it` of `it`, `it.only`, `it.each(rows)` and `it.skipIf(condition)`. */
function rootOf(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  return node.type === 'Identifier' ? node.name : rootOf(node.object ?? node.callee ?? node.tag);
}

function textOf(node: Node | undefined): string | undefined {
  if (node?.type === 'Literal' && typeof node.value === 'string') return node.value;
  if (node?.type === 'TemplateLiteral') return (node.quasis ?? []).map(({ value }) => value.cooked ?? '').join('`x`');
  return undefined;
}

export function titlesOf(source: string): Title[] {
  const found: Title[] = [];
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) return part.forEach(visit);
    if (typeof part !== 'object' || part === null || part instanceof RegExp) return;
    const node = part as Node;
    if (node.type === 'CallExpression' && ['it', 'test', 'describe'].includes(rootOf(node.callee) ?? '')) {
      const text = textOf(node.arguments?.[0]);
      if (text !== undefined)
        found.push({
          line: source.slice(0, node.start ?? 0).split('\n').length,
          // `$name` and `%s` are values of a row
          text: text.replaceAll(/\$[\w.]+|%[sdijo]/g, '`x`'),
        });
    }
    Object.values(part).forEach(visit);
  };
  visit(parseAst(source, { lang: 'ts' }));
  return found;
}
