/** Text mentions people by their ids; who reads it knows them by their names. */
import { nameOf } from './people.ts';

/** As the server finds them: not behind what ids and addresses are made of. */
const mention = /(?<![\p{L}\p{N}_.:@|+/-])@([A-Za-z0-9_.:@|+-]+)/gu;
const punctuation = /[.:|+@-]+$/u;

export function withNames(text: string): string {
  return text.replaceAll(mention, (all, run: string) => {
    // What ends it may be of the id, or of the sentence.
    const forms = [run, run.slice(0, -1), run.replace(punctuation, '')];
    const id = forms.find((form) => form !== '' && nameOf(form) !== form);
    return id === undefined ? all : `@${nameOf(id)}${run.slice(id.length)}`;
  });
}
