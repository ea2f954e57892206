import type { ComponentChildren, JSX } from 'preact';
import { Failure } from '../../ui/dialog.tsx';
import { MoreButton } from '../../ui/more-button.tsx';
import type { Pages } from '../../ui/use-pages.ts';

/** One entry of such a list, and the button that ends it. */
export interface AccessRow {
  readonly key: string;
  readonly sign: JSX.Element;
  readonly title: ComponentChildren;
  readonly about: ComponentChildren;
  readonly button: ComponentChildren;
  readonly onEnd: () => void;
}

interface AccessListProps<T> {
  readonly title: string;
  /** Stands in place of the rows if there are none. */
  readonly empty: string;
  readonly pages: Pages<T>;
  readonly busy: boolean;
  readonly error: string | undefined;
  readonly row: (item: T) => AccessRow;
  /** Stands above the rows. */
  readonly children?: ComponentChildren;
}

/** Invitations, links or bans of a room, a page at a time. */
export function AccessList<T>({ title, empty, pages, busy, error, row, children }: AccessListProps<T>): JSX.Element {
  return (
    <section class="settings-part" aria-label={title}>
      <h3>{title}</h3>
      {children}
      {pages.items?.length === 0 && <p class="muted small-text">{empty}</p>}
      <ul class="rows">
        {pages.items?.map(row).map(({ key, sign, title: entry, about, button, onEnd }) => (
          <li key={key}>
            {sign}
            <p>
              {entry}
              {about}
            </p>
            <button class="button small" type="button" disabled={busy} onClick={onEnd}>
              {button}
            </button>
          </li>
        ))}
      </ul>
      <MoreButton pages={pages} />
      <Failure error={error ?? pages.error} />
    </section>
  );
}
