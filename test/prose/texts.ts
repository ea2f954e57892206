/** The texts of the sources that operators and clients read: log lines, errors, and help of metrics. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'vite';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

export interface Text {
  /** Under src/. */
  readonly file: string;
  readonly kind: 'log' | 'error' | 'metric';
  /** Values that are put in stand as a span of code. */
  readonly text: string;
}

interface Node {
  readonly type?: string;
  readonly name?: string;
  readonly value?: unknown;
  readonly operator?: string;
  readonly callee?: Node;
  readonly object?: Node;
  readonly property?: Node;
  readonly key?: Node;
  readonly id?: Node;
  readonly argument?: Node;
  readonly body?: unknown;
  readonly left?: Node;
  readonly right?: Node;
  readonly consequent?: Node;
  readonly alternate?: Node;
  readonly expression?: Node;
  readonly arguments?: readonly Node[];
  readonly quasis?: readonly { readonly value: { readonly cooked?: string } }[];
}

/** The errors of the server by the place of their text among the arguments. */
const errors: Readonly<Record<string, number>> = { StartupError: 0, DataFolderInUse: 0, NotReady: 0, ParleyError: 1 };
/** Functions that return the text of an error or of a log line. */
const textFunctions = ['connectFailure', 'evictionText', 'outageText'];
const levels = ['debug', 'info', 'warn', 'error', 'fatal'];
const value = '`x`';

/** Every text that an expression may have; none where no part of the expression is a text. */
function textsOf(node: Node | undefined): string[] {
  if (node?.type === undefined) return [];
  switch (node.type) {
    case 'Literal':
      return typeof node.value === 'string' ? [node.value] : [];
    case 'TemplateLiteral':
      return [(node.quasis ?? []).map((part) => part.value.cooked ?? '').join(value)];
    case 'ConditionalExpression':
      return [...textsOf(node.consequent), ...textsOf(node.alternate)];
    case 'LogicalExpression':
      return [...textsOf(node.left), ...textsOf(node.right)];
    case 'BinaryExpression': {
      if (node.operator !== '+') return [];
      const [left, right] = [textsOf(node.left), textsOf(node.right)];
      if (left.length === 0 && right.length === 0) return [];
      const ends = right.length === 0 ? [value] : right;
      return (left.length === 0 ? [value] : left).flatMap((start) => ends.map((end) => start + end));
    }
    case 'ChainExpression':
    case 'TSAsExpression':
    case 'TSNonNullExpression':
      return textsOf(node.expression);
    default:
      return [];
  }
}

/** `log.warn`, `this.#log?.warn`, `parts.log.warn`, and `console.error`. */
function isLog({ type, object, property }: Node): boolean {
  if (type !== 'MemberExpression' || !levels.includes(property?.name ?? '')) return false;
  const name = object?.type === 'MemberExpression' ? object.property?.name : object?.name;
  return name === 'log' || name === 'console';
}

/** The expressions of all return statements. */
function returnsOf(part: unknown): Node[] {
  if (Array.isArray(part)) return part.flatMap(returnsOf);
  if (typeof part !== 'object' || part === null || part instanceof RegExp) return [];
  const { type, argument } = part as Node;
  if (type === 'ReturnStatement' && argument !== undefined) return [argument];
  return Object.values(part).flatMap(returnsOf);
}

function take(file: string, node: Node, found: Text[]): void {
  const add = (kind: Text['kind'], part: Node | undefined): void => {
    for (const text of textsOf(part)) if (/[a-z]/i.test(text.replaceAll(value, ''))) found.push({ file, kind, text });
  };
  const args = node.arguments ?? [];
  if (node.type === 'CallExpression' && node.callee !== undefined && isLog(node.callee)) add('log', args.at(-1));
  const place = errors[node.callee?.name ?? ''];
  if (node.type === 'NewExpression' && place !== undefined) add('error', args[place]);
  if (node.callee?.property?.name === 'push' && node.callee.object?.name === 'problems') add('error', args[0]);
  if (node.type === 'FunctionDeclaration' && textFunctions.includes(node.id?.name ?? ''))
    for (const returned of returnsOf(node.body)) add('error', returned);
  const name = args[0]?.value;
  if (typeof name === 'string' && name.startsWith('parley_')) add('metric', args[1]);
  if (node.type === 'Property' && node.key?.name === 'help' && file.startsWith('telemetry/'))
    add('metric', node.value as Node);
}

function visit(file: string, part: unknown, found: Text[]): void {
  if (Array.isArray(part)) return part.forEach((one) => visit(file, one, found));
  if (typeof part !== 'object' || part === null || part instanceof RegExp) return;
  take(file, part as Node, found);
  for (const inner of Object.values(part)) visit(file, inner, found);
}

/** All texts of the server's sources. */
export function textsInCode(): Text[] {
  const found: Text[] = [];
  for (const name of readdirSync(src, { recursive: true, encoding: 'utf8' }).toSorted()) {
    const file = name.replaceAll('\\', '/');
    if (!file.endsWith('.ts') || file.endsWith('.d.ts') || /^(?:client|react|web)\//.test(file)) continue;
    visit(file, parseAst(readFileSync(`${src}${name}`, 'utf8'), { lang: 'ts' }), found);
  }
  return found;
}
