import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX, RefObject } from 'preact';
import type { Message, Room } from '../../../client/index.ts';
import { emojiName, pickable } from '../text/emoji.ts';
import type { MessageRights } from '../rights.ts';
import { moveFocus } from '../../ui/roving-focus.ts';

interface ReactionsProps {
  room: Room;
  message: Message;
  may: Pick<MessageRights, 'react' | 'takeBack'>;
  attempt: (work: Promise<void>) => void;
}

/** The reactions to a message; each is a switch for the user's own one. */
export function Reactions({ room, message, may, attempt }: ReactionsProps): JSX.Element {
  const toggle = (emoji: string, mine: boolean): void =>
    attempt(mine ? room.unreact(message.seq, emoji) : room.react(message.seq, emoji));
  return (
    <div class="reactions" role="group" aria-label="Reactions">
      {message.reactions?.map(({ emoji, count, mine = false }) => (
        <button
          key={emoji}
          class="chip"
          type="button"
          aria-pressed={mine}
          aria-label={`${emojiName(emoji)}: ${count}`}
          title={mine ? `Take back ${emojiName(emoji)}` : `React with ${emojiName(emoji)}`}
          disabled={!(mine ? may.takeBack : may.react)}
          onClick={() => toggle(emoji, mine)}
        >
          <span aria-hidden="true">{emoji}</span>
          <span aria-hidden="true">{count}</span>
        </button>
      ))}
    </div>
  );
}

const columns = 6;

interface PickerProps {
  /** The opener: a click on it is no click outside. */
  opener: RefObject<HTMLButtonElement | null>;
  onPick: (emoji: string) => void;
  onClose: () => void;
}

export function Picker({ opener, onPick, onClose }: PickerProps): JSX.Element {
  const panel = useRef<HTMLDivElement>(null);
  const [below, setBelow] = useState(false);
  useLayoutEffect(() => {
    const log = panel.current?.closest('.log')?.getBoundingClientRect();
    const at = panel.current?.parentElement?.getBoundingClientRect();
    // Above, unless the timeline begins too close.
    if (log !== undefined && at !== undefined) setBelow(at.top - log.top < (panel.current?.offsetHeight ?? 0) + 8);
    panel.current?.querySelector('button')?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const pressedOutside = (event: PointerEvent): void => {
      const { target } = event;
      if (!(target instanceof Node) || panel.current?.contains(target) || opener.current?.contains(target)) return;
      onClose();
    };
    document.addEventListener('pointerdown', pressedOutside);
    return () => document.removeEventListener('pointerdown', pressedOutside);
  }, [onClose]);
  return (
    <div
      ref={panel}
      class={below ? 'emoji-picker below' : 'emoji-picker'}
      role="dialog"
      aria-label="Pick a reaction"
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === 'Escape') {
          opener.current?.focus();
          onClose();
        } else moveFocus(event, columns);
      }}
    >
      {pickable.map(([emoji, name], at) => (
        <button
          key={emoji}
          type="button"
          tabIndex={at === 0 ? 0 : -1}
          aria-label={name}
          title={name}
          onClick={() => onPick(emoji)}
        >
          {emoji}
        </button>
      ))}
    </div>
  );
}
