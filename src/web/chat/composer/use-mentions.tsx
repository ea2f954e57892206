/**
 * Mentions in a text field: `@` and some letters open a list of members. The arrow keys, Enter, Tab, Escape and the
 * mouse operate the list. The field shows names; `wire` returns the text to send, with ids.
 */
import { useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX, RefObject, TargetedKeyboardEvent, TextareaHTMLAttributes } from 'preact';
import type { PresenceState, Room } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { isComposing } from '../../ui/input-method.ts';
import { Icon } from '../../ui/icons.tsx';
import { candidatesFor } from './candidates.ts';
import type { Activity, Candidate } from './candidates.ts';
import { everybody, labelFor, queryAt, toWire } from '../text/mentions.ts';
import type { Picked } from '../text/mentions.ts';
import { useOpenRoom } from '../conversation/open-room.ts';
import { useClient, useStore } from '../../ui/hooks.ts';

interface MentionField {
  /**
   * Attributes for the field while the list is open. A multi-line field may not be a combobox, but may have a list like
   * one.
   */
  readonly attributes: TextareaHTMLAttributes;
  readonly list: JSX.Element;
  /** The caret or the text moved. */
  readonly caretMoved: () => void;
  /** @returns whether the list took the key */
  readonly key: (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => boolean;
  readonly wire: (text: string) => string;
}

export function useMentions(
  field: RefObject<HTMLTextAreaElement | null>,
  write: (text: string) => void,
  before: Picked,
): MentionField {
  const { members, entry, room } = useOpenRoom();
  const presence = useStore(room.presence);
  const me = useClient().user.value?.id ?? '';
  const listId = useId();
  /** A ref and not state, because a text that is sent in the same moment needs the names. */
  const picked = useRef(before);
  const [at, setAt] = useState<{ from: number; query: string }>();
  /** The place of a list that the user closed. The list stays closed until another name begins. */
  const [dismissed, setDismissed] = useState<number>();
  const [active, setActive] = useState(0);
  /** The place of the caret after the next render. */
  const caret = useRef<number>(undefined);
  useLayoutEffect(() => {
    if (caret.current === undefined) return;
    field.current?.setSelectionRange(caret.current, caret.current);
    caret.current = undefined;
  });
  const all = entry?.kind !== 'direct' && (entry?.role === 'owner' || entry?.role === 'admin');
  const isOpen = at !== undefined && at.from !== dismissed;
  // The order does not change while the list is open.
  const activity = useMemo(() => activityIn(room, presence), [isOpen, at?.from, room]);
  const candidates = isOpen ? candidatesFor({ query: at.query, members, me, all, activity }) : [];
  const chosen = candidates[Math.min(active, candidates.length - 1)];
  const optionId = (id: string): string => `${listId}-${id}`;

  const caretMoved = (): void => {
    const element = field.current;
    if (element === null) return;
    const collapsed = element.selectionStart === element.selectionEnd;
    const next = collapsed ? queryAt(element.value, element.selectionStart, picked.current) : undefined;
    if (next?.from !== at?.from || next?.query !== at?.query) setActive(0);
    if (next?.from !== dismissed) setDismissed(undefined);
    setAt(next);
  };
  const pick = ({ id, name }: Candidate): void => {
    const element = field.current;
    if (element === null || at === undefined) return;
    const label = labelFor(id, name, picked.current);
    const rest = element.value.slice(element.selectionStart);
    const head = `${element.value.slice(0, at.from)}@${label}${/^\s/u.test(rest) ? '' : ' '}`;
    picked.current = new Map(picked.current).set(label, id);
    setAt(undefined);
    write(head + rest);
    caret.current = head.length;
    element.focus();
  };
  const key = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): boolean => {
    if (chosen === undefined || isComposing(event)) return false;
    const step = { ArrowDown: 1, ArrowUp: candidates.length - 1 }[event.key];
    if (step !== undefined) setActive((candidates.indexOf(chosen) + step) % candidates.length);
    else if ((event.key === 'Enter' && !event.shiftKey) || (event.key === 'Tab' && !event.shiftKey)) pick(chosen);
    else if (event.key === 'Escape') setDismissed(at?.from);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };
  const list = (
    <ul id={listId} class="mention-list" role="listbox" aria-label="People to mention">
      {candidates.map((candidate) => (
        <li
          key={candidate.id}
          id={optionId(candidate.id)}
          role="option"
          aria-selected={candidate === chosen}
          // Runs before the field loses the focus.
          onPointerDown={(event) => (event.preventDefault(), pick(candidate))}
          onPointerMove={() => setActive(candidates.indexOf(candidate))}
        >
          <Face candidate={candidate} />
        </li>
      ))}
    </ul>
  );
  return {
    attributes:
      chosen === undefined
        ? {}
        : {
            'aria-autocomplete': 'list',
            'aria-haspopup': 'listbox',
            'aria-controls': listId,
            'aria-activedescendant': optionId(chosen.id),
          },
    list: (
      <>
        {/* The status element exists before its text, so that screen readers read the text. */}
        <span class="sr-only" role="status">
          {chosen !== undefined && `${candidates.length} to choose from with the arrow keys.`}
        </span>
        {chosen !== undefined && list}
      </>
    ),
    caretMoved,
    key,
    wire: (text) => toWire(text, picked.current),
  };
}

function activityIn(room: Room, presence: ReadonlyMap<string, PresenceState>): Activity {
  const lastSeqs = new Map(room.state.value.messages.map(({ from, seq }) => [from, seq]));
  return { online: (user) => presence.get(user)?.online, lastSeq: (user) => lastSeqs.get(user) ?? 0 };
}

function Face({ candidate: { id, name, about, online } }: { candidate: Candidate }): JSX.Element {
  return (
    <>
      {id !== everybody ? (
        <Avatar id={id} name={name} size={28} online={online} />
      ) : (
        <span class="face-sign">
          <Icon name="group" size={16} />
        </span>
      )}
      <span class="picker-name" dir="auto">
        {id === everybody ? `@${name}` : name}
        {online !== undefined && <span class="sr-only">, {online ? 'online' : 'offline'}</span>}
      </span>
      {about !== undefined && <span class="muted small-text">{about}</span>}
    </>
  );
}
