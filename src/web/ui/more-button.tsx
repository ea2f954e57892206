import type { JSX } from 'preact';

/** A button below a list of the server that has another page. */
export function MoreButton({ pages }: { pages: { more: boolean; loadMore: () => void } }): JSX.Element | null {
  return pages.more ? (
    <button class="button small wide" type="button" onClick={pages.loadMore}>
      More
    </button>
  ) : null;
}
