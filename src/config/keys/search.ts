/** Search for messages. */
import { flag, number, text } from '../values.ts';
import { key } from './key.ts';

export const searchKeys = {
  search: key(
    'PARLEY_SEARCH',
    'Whether users can search for messages. If it is off, the search index takes no messages.',
    flag(),
    'on',
  ),
  searchLanguage: key(
    'PARLEY_SEARCH_LANGUAGE',
    'Text search configuration of Postgres, such as `english`. `simple` fits all languages and knows no grammar. All nodes have the same value; a new value indexes all messages again.',
    text(1, 63),
    'simple',
  ),
  searchesAtOnce: key(
    'PARLEY_SEARCHES_AT_ONCE',
    'Concurrent searches of this process, at most one for each user. Four times as many may wait, at most two for each user. Users take turns.',
    number(1, 100),
    '2',
  ),
  searchTimeoutMs: key(
    'PARLEY_SEARCH_TIMEOUT_MS',
    'Longest time that one statement of a search runs in Postgres. A longer search is refused with `overloaded`. The embedded database has no such limit.',
    number(100, 600_000),
    '2000',
  ),
} as const;
