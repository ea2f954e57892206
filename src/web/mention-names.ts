/** Text mentions people by their ids; who reads it knows them by their names. */
import { nameOf } from './people.ts';

/** As the server finds them: an id may hold a full stop, but not end with the one of the sentence. */
const mention = /@([A-Za-z0-9_:@|+-](?:[A-Za-z0-9_.:@|+-]{0,62}[A-Za-z0-9_@|+-])?)/gu;

export function withNames(text: string): string {
  return text.replaceAll(mention, (_, id: string) => `@${nameOf(id)}`);
}
