/**
 * Markdown as sentences. Code, links' targets, images and comments are no prose: a span of code counts as one word, and blocks
 * of code as none. A heading, an item of a list and a cell of a table each begin a sentence of their own. Text without any
 * Markdown, such as an error or a log line, is one paragraph.
 */
export interface Sentence {
  readonly text: string;
  /** Counted from 1, in the text that was given. */
  readonly line: number;
  /** A cell or an item without a full stop: a fragment, which may begin with a small letter. */
  readonly fragment: boolean;
}

/** Stands for a span of code. The letter is a capital one, because a name of code may begin a sentence. */
export const codeWord = 'CODE';

/** The text of a link may be the name of a file or a folder, which is a name as those in code are. */
const isPath = /^[\w./-]+(?:\.\w+|\/)$/;

interface Block {
  text: string;
  readonly line: number;
  readonly kind: 'paragraph' | 'item' | 'cell';
}

function withoutMarkup(text: string): string {
  return text
    .replaceAll(/(`+)(?:(?!\n\s*[\n|])[\s\S])*?[^`]\1(?!`)/g, (span) => codeWord + blank(span))
    .replaceAll(/!\[[^\]]*\]\([^)]*\)/g, '')
    .replaceAll(/\[([^\]]*)\]\([^)\s]*\)/g, (_, shown: string) => (isPath.test(shown) ? codeWord : shown))
    .replaceAll(/<?https?:\/\/[^\s>)]+>?/g, codeWord)
    .replaceAll(/(?<![\w*])\*{1,2}(?=\S)|(?<=\S)\*{1,2}(?![\w*])/g, '')
    .replaceAll(/(?<!\w)_(?=\S)|(?<=\S)_(?!\w)/g, '');
}

const blank = (part: string): string => '\n'.repeat(part.split('\n').length - 1);

/** Comments and fenced code become empty lines, so that later lines keep their numbers. */
function withoutCode(text: string): string {
  return text
    .replaceAll(/<!--[\s\S]*?-->/g, blank)
    .replaceAll(/^([ \t]*)(```|~~~)[^\n]*\n[\s\S]*?\n\1\2[ \t]*$/gm, blank)
    .replaceAll(/<\/?(?:details|summary|br|img|p|div)\b[^>]*>/g, '');
}

function cellsOf(row: string): string[] {
  return row
    .replace(/^\s*\|/, '')
    .replace(/\|\s*$/, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}

function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  let afterBlank = true;
  for (const [index, raw] of withoutMarkup(withoutCode(text)).split('\n').entries()) {
    const line = index + 1;
    const trimmed = raw.trim();
    const indented = /^(?: {4}|\t)/.test(raw);
    if (trimmed === '' || /^[-*_=]{3,}$/.test(trimmed)) {
      open = undefined;
      afterBlank = true;
      continue;
    }
    const heading = /^#{1,6}\s+(.*)$/.exec(trimmed);
    const item = /^(?:[-*+]|\d+[.)])\s+(.*)$/.exec(trimmed);
    if (heading) {
      blocks.push({ text: heading[1] ?? '', line, kind: 'paragraph' });
      open = undefined;
    } else if (trimmed.startsWith('|')) {
      if (!/^[|\s:-]+$/.test(trimmed))
        blocks.push(...cellsOf(trimmed).map((cell) => ({ text: cell, line, kind: 'cell' }) as const));
      open = undefined;
    } else if (item) {
      open = { text: item[1] ?? '', line, kind: 'item' };
      blocks.push(open);
    } else if (indented && afterBlank && !open) {
      // A block of code by indentation.
      continue;
    } else if (open) {
      open.text += `\n${trimmed.replace(/^>\s?/, '')}`;
    } else {
      open = { text: trimmed.replace(/^>\s?/, ''), line, kind: 'paragraph' };
      blocks.push(open);
    }
    afterBlank = false;
  }
  return blocks;
}

/** A full stop after one of these ends no sentence. */
const abbreviation = /\b(?:e\.g|i\.e|etc|vs|No|cf)\.$/;

export function sentencesOf(text: string): Sentence[] {
  const sentences: Sentence[] = [];
  for (const block of blocksOf(text)) {
    const ends = /[.!?]["”')]?$/.test(block.text.trim());
    const isFragment = block.kind !== 'paragraph' && !ends;
    let from = 0;
    let first = true;
    const take = (to: number): void => {
      const part = block.text.slice(from, to);
      const lead = part.length - part.trimStart().length;
      const line = block.line + block.text.slice(0, from + lead).split('\n').length - 1;
      const sentence = part.trim().replaceAll(/\s+/g, ' ');
      if (sentence !== '') sentences.push({ text: sentence, line, fragment: isFragment && first });
      from = to;
      first = false;
    };
    for (const end of block.text.matchAll(/[.!?]["”')]?(?=\s)/g)) {
      const to = end.index + end[0].length;
      if (!abbreviation.test(block.text.slice(from, to))) take(to);
    }
    take(block.text.length);
  }
  return sentences;
}
