/** A text mentions users by their ids; a reader sees their names. */
import { mentionsIn } from './mentions.ts';
import { nameOf } from '../members/people.ts';

export function withNames(text: string): string {
  let shown = '';
  let from = 0;
  for (const mention of mentionsIn(text, (id) => nameOf(id) !== id)) {
    shown += `${text.slice(from, mention.from)}@${nameOf(mention.id)}`;
    from = mention.to;
  }
  return shown + text.slice(from);
}
