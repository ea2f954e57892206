/**
 * The prose rule, as far as a program can check it. People outside of the project read docs, errors, log lines, help and
 * comments. CONTRIBUTING.md ("Prose") has the rule with examples.
 */
import { codeWord, sentencesOf } from './sentences.ts';

export interface Fault {
  readonly line: number;
  readonly rule: string;
  readonly sentence: string;
}

export const maxWords = 25;

/** Words of the code's former private English. The right column is what to write instead. */
export const words: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\b(?:told|tells?|telling)\b/i, 'sends, reports, shows, says'],
  [/\b(?:hear|hears|heard|hearing)\b/i, 'receives'],
  [/\bdeaf\b/i, 'does not receive'],
  [/\bstandings?\b/i, 'role, membership, state'],
  [/\bhanded\b/i, 'passed, given, sent'],
  [/\basked\b/i, 'requested, queried'],
  [/\b(?:look-ups?|looked|looks?(?! like\b))\b/i, 'lookup, read, poll, check'],
  [/\bdear(?:er|est)?\b/i, 'expensive'],
  [/\bof (?:ours|our own)\b/i, 'our, separate'],
  [/\bfor ever\b/i, 'without a limit, permanently'],
  [/(?<!\bright )\baway\b/i, 'unavailable, offline, remove'],
  [/\b(?:whoever|whomever)\b/i, 'a user that'],
  [/\b(?:to|by|of|from|for|with|and|or|if|those|gives|keeps|says|tell) who\b/i, 'a noun of the glossary'],
  [/\bwho hears?\b/i, 'recipients'],
  [/\banew\b/i, 'again'],
  [/\bmends?\b|\bmended\b/i, 'fixes, fixed'],
  [/\bstrays?\b/i, 'unexpected packets'],
  [/\btails?\b/i, 'replay buffer'],
  [/\bnewcomers?\b/i, 'new connection'],
  [/\bchores?\b/i, 'periodic task'],
  [/\bgone over\b|\bgiven out\b/i, 'scanned, assigned'],
];

/** Names that are written with a small first letter, also at the beginning of a sentence. */
const smallNames =
  /^(?:nginx|npm|npx|k6|uWebSockets\.js|uWS|ioredis|postgres(?:\.js)?|socket\.io|pino|jose|zod|ajv|tsx|oxlint|prettier|vitest|msgpackr|notepack|plpgsql|systemd|patch-package|prom-client|pgBackRest|fast-check|playwright-core|permessage-deflate|nchan|fsync|wscat|gzip)\b/;

/** Subjects that name nothing, and inversions. A question may begin with them. */
const opening = /^(?:It|What|Who|Whoever|Those|Nor|Neither|Had|Were|Of(?! course))\b/;

/** A list of names in code, such as the fields of a line, counts as one word: nobody reads it as a sentence. */
const namesInCode = new RegExp(`${codeWord}(?:,? (?:and |or )?${codeWord})+`, 'g');

function countWords(sentence: string): number {
  const parts = sentence.replaceAll(namesInCode, codeWord).split(/\s+/);
  return parts.filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

/** Every fault of a text: Markdown, or plain text such as one error message. */
export function faults(text: string): Fault[] {
  const found: Fault[] = [];
  for (const { text: sentence, line, fragment } of sentencesOf(text)) {
    const add = (rule: string): void => void found.push({ line, rule, sentence });
    const prose = sentence.replaceAll(codeWord, '');
    const count = countWords(sentence);
    if (count > maxWords) add(`${count} words; at most ${maxWords}`);
    for (const [pattern, instead] of words) {
      const word = pattern.exec(prose)?.[0];
      if (word !== undefined) add(`"${word}"; rather: ${instead}`);
    }
    const start = sentence.replace(/^[("“'[]+/, '');
    if (!fragment && /^\p{Ll}/u.test(start) && !smallNames.test(start)) add('begins with a small letter');
    if (!sentence.endsWith('?') && !fragment && opening.test(start))
      add(`begins with "${opening.exec(start)?.[0] ?? ''}"; rather: a noun of the glossary`);
  }
  return found;
}
