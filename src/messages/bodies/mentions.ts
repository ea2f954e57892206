/** The mentions in a body. The statement that stores the message finds out which of the users are members. */
import { everybody } from '../../protocol/body.ts';
import { mentionRuns } from '../../protocol/mention-scan.ts';

export interface Mentions {
  /**
   * The ids that each mention may mean. The first id that is a member counts: `@ann.` names the user `ann.` if there is one,
   * and otherwise `ann`.
   */
  readonly names: readonly (readonly string[])[];
  readonly everybody: boolean;
}

const maxIdLength = 64;

/**
 * @param named ids that the sender gave beside the text
 * @param most of more than so many the first count
 * @returns undefined: nobody
 */
export function mentionsIn(text: string, named: readonly string[], most: number): Mentions | undefined {
  const names = new Map<string, readonly string[]>();
  let all = false;
  for (const id of named) {
    if (id === `@${everybody}`) all = true;
    else names.set(id, [id]);
  }
  const prose = text.includes('`') || text.includes('~~~') ? withoutCode(text) : text;
  for (const { run, bare } of mentionRuns(prose)) {
    if (names.size >= most) break;
    if (bare === everybody) all = true;
    // what is cut off may be of the id: all of it, but for the end of a sentence, or none
    else if (bare === run) names.set(run, [run].filter(isId));
    else if (bare !== '') names.set(run, [...new Set([run, run.slice(0, -1), bare])].filter(isId));
  }
  const forms = [...names.values()].filter((list) => list.length > 0);
  return forms.length === 0 && !all ? undefined : { names: forms, everybody: all };
}

function isId(name: string): boolean {
  return name.length > 0 && name.length <= maxIdLength;
}

/** Code as Markdown has it, fenced or in a line, gives way to a space. */
function withoutCode(text: string): string {
  const kept: string[] = [];
  let fence: { readonly mark: string; readonly length: number } | undefined;
  for (const line of text.split('\n')) {
    const [, run = ''] = /^ {0,3}(`{3,}|~{3,})/.exec(line) ?? [];
    if (fence !== undefined) {
      const closes = run.startsWith(fence.mark) && run.length >= fence.length && line.trim() === run;
      if (closes) fence = undefined;
    } else if (run !== '' && (run.startsWith('~') || !line.slice(line.indexOf(run) + run.length).includes('`'))) {
      fence = { mark: run.charAt(0), length: run.length };
    } else kept.push(line);
  }
  return withoutSpans(kept.join('\n'));
}

/** A run of backticks opens a span that the next run of the same length closes; one that nothing closes is text. */
function withoutSpans(text: string): string {
  const runs = [...text.matchAll(/`+/g)].map(({ 0: { length }, index }) => ({ index, length }));
  const closing = new Map<number, number>();
  const closedBy: number[] = [];
  // from the end, so that each run finds its partner in a map: trying all runs would be quadratic
  for (let i = runs.length - 1; i >= 0; i--) {
    const { length } = runs[i] as { length: number };
    closedBy[i] = closing.get(length) ?? -1;
    closing.set(length, i);
  }
  let prose = '';
  let from = 0;
  for (let i = 0; i < runs.length; i++) {
    const end = runs[closedBy[i] ?? -1];
    if (end === undefined) continue;
    prose += `${text.slice(from, runs[i]?.index)} `;
    from = end.index + end.length;
    i = closedBy[i] as number;
  }
  return prose + text.slice(from);
}
