import { useEffect, useRef, useState } from 'preact/hooks';

export interface Page<T> {
  readonly items: readonly T[];
  readonly after: string | null;
  readonly more: boolean;
}

export interface Pages<T> {
  /** Undefined: there is no answer yet. */
  readonly items: readonly T[] | undefined;
  readonly more: boolean;
  readonly error: string | undefined;
  readonly loadMore: () => void;
  /** Loads from the first page again. */
  readonly reload: () => void;
}

/** A list of the server, a page at a time. @param key a change of it loads another list */
export function usePages<T>(key: string, loadPage: (after?: string) => Promise<Page<T>>): Pages<T> {
  const [held, setHeld] = useState<Page<T>>();
  const [error, setError] = useState<string>();
  const request = useRef(0);
  const load = (after?: string): void => {
    const mine = (request.current += 1);
    setError(undefined);
    loadPage(after).then(
      (page) => {
        if (mine !== request.current) return;
        setHeld((before) => ({
          ...page,
          items: after === undefined ? page.items : [...(before?.items ?? []), ...page.items],
        }));
      },
      (thrown: Error) => mine === request.current && setError(thrown.message),
    );
  };
  useEffect(() => {
    load();
    return () => void (request.current += 1);
  }, [key]);
  return {
    items: held?.items,
    more: held?.more === true && held.after !== null,
    error,
    loadMore: () => load(held?.after ?? undefined),
    reload: () => load(),
  };
}
