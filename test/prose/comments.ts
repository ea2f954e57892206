/** The comments of a source file as Markdown, so that the checker of pages checks them. */
import { parseSync } from 'vite';

export interface Comment {
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
}

type Part = Comment & {
  /** No code precedes the comment on its line. */
  readonly alone: boolean;
};

/** The line of a position, counted from 1. Positions come in rising order. */
function lineCounter(text: string): (at: number) => number {
  let [line, from] = [1, 0];
  return (at) => {
    for (let end = text.indexOf('\n', from); end !== -1 && end < at; end = text.indexOf('\n', from)) {
      line += 1;
      from = end + 1;
    }
    return line;
  };
}

/** Joins comments of neighbouring lines, because a sentence may go on in the next line. */
function joined(parts: readonly Part[]): Comment[] {
  const found: { line: number; last: number; text: string }[] = [];
  for (const { line, text, alone } of parts) {
    const before = found.at(-1);
    if (alone && before?.last === line - 1) {
      before.text += `\n${text}`;
      before.last = line;
    } else found.push({ line, last: alone ? line : -1, text });
  }
  return found.map(({ line, text }) => ({ line, text }));
}

/** The text of a block comment without its stars. Line numbers stay. */
const withoutStars = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.replace(/^\s*\*+ ?/, '').trimEnd())
    .join('\n');

/** A diagram of states, which is no prose. */
const diagram = /[→⇄⇒└┌▶]|(?:^|\s)->\s/;
/** A command to run the file. */
const command = /^\s*(?:node|npm|npx|docker|curl|cc|[A-Z_]+=\S+ npm) /;

/** Diagrams and commands become empty lines. A tag of JSDoc and an indented line become items of a list. */
function asMarkdown(text: string): string {
  let inDiagram = false;
  return text
    .split('\n')
    .map((line) => {
      inDiagram = diagram.test(line) || (inDiagram && line.trim() !== '' && !/^\s*(?:@|[A-Z])/.test(line));
      if (inDiagram || command.test(line)) return '';
      const plain = line
        .replaceAll(/\{@link ([^}]*)\}/g, '`$1`')
        .replaceAll(/\b[A-Z][A-Z0-9_]*=[^\s,;]*/g, '`$&`')
        .replaceAll(/\s*@(?:param|property|template|type|typedef) \{.*\}(?: [\w.[\]=]+)?\s*$/g, '')
        .replace(/^\s*@(?:param|property) (?:\{.*?\}+ )?(\S+)/, '- `$1`')
        .replace(/^\s*@\w+ ?(?:\{.*?\}+)?/, '- ');
      return /^ {2,}\S/.test(plain) ? `- ${plain.trim()}` : plain;
    })
    .join('\n');
}

/** A comment for a tool, such as a switch of the linter. */
const forTools = /^\s*(?:oxlint|eslint|prettier|@ts-|#region|shellcheck|v8 ignore|sourceMapping|@vite|\/ <ref|syntax=)/;

function commentsOfScript(path: string, source: string): Comment[] {
  const lineOf = lineCounter(source);
  const parts = parseSync(path, source).comments.map(({ type, value, start }) => ({
    line: lineOf(start),
    text: type === 'Block' ? withoutStars(value) : value.trim(),
    alone: type === 'Line' && /(?:^|\n)[ \t]*$/.test(source.slice(Math.max(0, start - 200), start)),
  }));
  return joined(parts);
}

/** Block comments of C, CSS and HTML. Strings of these files have no comment's beginning. */
function commentsOfBlocks(source: string): Comment[] {
  const lineOf = lineCounter(source);
  return [...source.matchAll(/\/\*([\s\S]*?)\*\/|<!--([\s\S]*?)-->|^[ \t]*\/\/(.*)$/gm)].map((match) => ({
    line: lineOf(match.index),
    text: withoutStars(match[1] ?? match[2] ?? match[3] ?? ''),
  }));
}

/** Comments from a mark to the end of the line: `#` of shell, YAML and nginx, `--` of SQL. */
function commentsOfLines(source: string, mark: '#' | '--'): Comment[] {
  const whole = mark === '#' ? /^\s*#(?!!) ?(.*)$/ : /^\s*-- ?(.*)$/;
  const behind = mark === '#' ? /^[^#'"]*(?:'[^']*'|"[^"]*")?[^#'"]*\s# (.*)$/ : /^[^']*(?:'[^']*')*[^']*\s-- (.*)$/;
  const parts = source.split('\n').flatMap((text, index) => {
    const alone = whole.exec(text)?.[1];
    const part = alone ?? behind.exec(text)?.[1];
    return part === undefined ? [] : [{ line: index + 1, text: part, alone: alone !== undefined }];
  });
  return joined(parts);
}

export function commentsOf(path: string, source: string): Comment[] {
  const found = /\.(?:ts|tsx|js|mjs)$/.test(path)
    ? commentsOfScript(path, source)
    : /\.(?:c|h|css|html)$/.test(path)
      ? commentsOfBlocks(source)
      : commentsOfLines(source, path.endsWith('.sql') ? '--' : '#');
  return found.filter(({ text }) => !forTools.test(text)).map(({ line, text }) => ({ line, text: asMarkdown(text) }));
}
