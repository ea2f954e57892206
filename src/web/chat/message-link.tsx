import type { ComponentChildren, JSX } from 'preact';
import { Avatar } from '../ui/avatar.tsx';
import { fullTime, shortTime } from '../ui/dates.ts';

interface MessageLinkProps {
  href: string;
  /** Who wrote it. */
  from: string;
  name: string;
  /** The room it is in, where that is not plain. */
  where?: string | undefined;
  at: number;
  /** There is something unread. */
  fresh?: boolean;
  onOpen?: () => void;
  /** Under the text. */
  foot?: ComponentChildren;
  /** What it says. */
  children: ComponentChildren;
}

/** A message in a list of such that leads to where it is read. */
export function MessageLink(props: MessageLinkProps): JSX.Element {
  const { href, from, name, where, at, fresh = false, onOpen, foot, children } = props;
  return (
    <a class={fresh ? 'hit fresh' : 'hit'} href={href} onClick={onOpen}>
      <Avatar id={from} name={name} size={30} />
      <span class="hit-head">
        <strong dir="auto">{name}</strong>
        {where !== undefined && (
          <span class="muted" dir="auto">
            {where}
          </span>
        )}
        <time dateTime={new Date(at).toISOString()} title={fullTime(at)}>
          {shortTime(at)}
        </time>
      </span>
      <span class="hit-text" dir="auto">
        {children}
      </span>
      {foot !== undefined && <span class="hit-foot">{foot}</span>}
      {fresh && <span class="sr-only"> unread</span>}
    </a>
  );
}
