import { useEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Message } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { shortTime } from '../../ui/dates.ts';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { nameOf } from '../members/people.ts';
import { mayPin } from '../rights.ts';
import { addressOfMessage } from '../route.ts';
import { useOpenRoom } from './open-room.ts';
import { summaryOf } from '../text/text.ts';
import { useClient } from '../../ui/hooks.ts';
import { usePins } from './use-pins.ts';

/** The bar below the head of a room with pinned messages: their number, and the list on a click. */
export function PinLine({ room }: { room: string }): JSX.Element | null {
  const pins = usePins(room);
  const [open, setOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const place = useRef<HTMLDivElement>(null);
  const close = (): void => setOpen(false);
  useEffect(() => {
    if (!open) return undefined;
    const pressedOutside = ({ target }: PointerEvent): void => {
      if (target instanceof Node && !place.current?.contains(target)) close();
    };
    document.addEventListener('pointerdown', pressedOutside);
    return () => document.removeEventListener('pointerdown', pressedOutside);
  }, [open]);
  const [latest] = pins;
  if (latest === undefined) return null;
  return (
    <div
      ref={place}
      class="pins"
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || !open) return;
        event.stopPropagation();
        opener.current?.focus();
        close();
      }}
    >
      <button
        ref={opener}
        class="pin-line"
        type="button"
        aria-expanded={open}
        aria-controls="pin-list"
        onClick={() => setOpen(!open)}
      >
        <Icon name="pin" size={16} />
        <strong>{pins.length === 1 ? '1 pinned' : `${pins.length} pinned`}</strong>
        <span class="pin-latest" dir="auto">
          {summaryOf(latest)}
        </span>
        <Icon name="chevron" size={16} />
      </button>
      {open && (
        <ul id="pin-list" class="pin-list" aria-label="Pinned messages">
          {pins.map((message) => (
            <li key={message.id}>
              <Pinned message={message} onGo={close} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Pinned({ message, onGo }: { message: Message; onGo: () => void }): JSX.Element {
  const client = useClient();
  const { entry } = useOpenRoom();
  const { busy, error, run } = useAction();
  const { room, seq } = message;
  const name = nameOf(message.from, message.name);
  return (
    <>
      <a class="pinned" href={addressOfMessage(message)} onClick={onGo}>
        <Avatar id={message.from} name={name} size={30} />
        <span class="pinned-about">
          <span class="pinned-head">
            <strong dir="auto">{name}</strong>
            <time dateTime={new Date(message.at).toISOString()}>{shortTime(message.at)}</time>
          </span>
          <span class="pinned-text" dir="auto">
            {summaryOf(message)}
          </span>
        </span>
      </a>
      {mayPin(entry) && (
        <button
          class="icon-button tiny"
          type="button"
          disabled={busy}
          aria-label="Unpin"
          title="Unpin"
          onClick={() => run(async () => void (await client.call('message:unpin', { room, seq })))}
        >
          <Icon name="close" size={16} />
        </button>
      )}
      <Failure error={error} />
    </>
  );
}
