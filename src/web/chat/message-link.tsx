import type { ComponentChildren, JSX } from 'preact';
import { Avatar } from '../ui/avatar.tsx';
import { fullTime, shortTime } from '../ui/dates.ts';

interface MessageLinkProps {
  href: string;
  /** The author's id. */
  from: string;
  name: string;
  /** The room, if the context does not show it. */
  where?: string | undefined;
  at: number;
  /** The message or thread is unread. */
  fresh?: boolean;
  onOpen?: () => void;
  /** The line below the text. */
  foot?: ComponentChildren;
  /** The text of the message. */
  children: ComponentChildren;
}

/** An entry in a list of messages, with a link to the message. */
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
