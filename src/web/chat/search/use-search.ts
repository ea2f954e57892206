/**
 * Pages of results of `search` for the typed query. A request follows a pause in typing, and answers to earlier
 * requests are dropped.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { limits } from '../../../client/index.ts';
import type { CommandOutput } from '../../../client/index.ts';
import { learnNames } from '../members/people.ts';
import { useClient, useStore } from '../../ui/hooks.ts';

export type Hit = CommandOutput<'search'>['hits'][number];

export interface Found {
  readonly state: 'short' | 'busy' | 'done' | 'failed';
  readonly hits: readonly Hit[];
  readonly error: string | undefined;
  /** There are more results. */
  readonly more: boolean;
  readonly loadMore: () => void;
}

interface Held {
  readonly state: Found['state'];
  readonly hits: readonly Hit[];
  readonly error?: string;
  readonly next: string | null;
}

const restMs = 250;
/** A single letter matches too much. */
const minLength = 2;
const nothing: Held = { state: 'short', hits: [], next: null };

export function useSearch(text: string, room: string | undefined): Found {
  const client = useClient();
  const online = useStore(client.state).status === 'connected';
  const [held, setHeld] = useState<Held>(nothing);
  const request = useRef(0);
  const trimmed = text.trim().slice(0, limits.searchQueryLength);

  const search = (cursor?: string): void => {
    const mine = (request.current += 1);
    setHeld(({ hits, next }) => ({ state: 'busy', hits, next }));
    const input = { query: trimmed, ...(room !== undefined && { room }), ...(cursor !== undefined && { cursor }) };
    client.call('search', input).then(
      ({ hits, next }) => {
        if (mine !== request.current) return;
        learnNames(hits.map(({ message: { from, name } }) => ({ id: from, name })));
        setHeld((before) => ({ state: 'done', hits: cursor === undefined ? hits : [...before.hits, ...hits], next }));
      },
      (thrown: Error) => {
        if (mine !== request.current) return;
        setHeld(({ hits, next }) => ({ state: 'failed', hits, error: thrown.message, next }));
      },
    );
  };

  useEffect(() => {
    request.current += 1;
    if (trimmed.length < minLength) return setHeld(nothing);
    setHeld(({ hits }) => ({ state: 'busy', hits, next: null }));
    const timer = setTimeout(() => search(), restMs);
    return () => clearTimeout(timer);
  }, [client, trimmed, room]);

  // A search that failed without a connection runs again after the reconnect.
  useEffect(() => {
    if (online && held.state === 'failed') search();
  }, [online]);

  const next = held.next ?? undefined;
  return {
    state: held.state,
    hits: held.hits,
    error: held.error,
    more: next !== undefined,
    loadMore: () => next !== undefined && search(next),
  };
}
