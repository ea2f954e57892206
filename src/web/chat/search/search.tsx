import type { JSX, TargetedKeyboardEvent } from 'preact';
import { limits } from '../../../client/index.ts';
import type { RoomEntry } from '../../../client/index.ts';
import { Failure } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { withNames } from '../text/mention-names.ts';
import { MessageLink } from '../message-link.tsx';
import { nameOf } from '../members/people.ts';
import { RoomIcon } from '../room-icon.tsx';
import { titleOf } from '../rooms.ts';
import { addressOf, addressOfMessage, shownRoom } from '../route.ts';
import { closeSearch, query, searchedRoom, searchFieldId } from './search-state.ts';
import { useSearch } from './use-search.ts';
import type { Found, Hit } from './use-search.ts';
import { useClient, useStore } from '../../ui/hooks.ts';

const onMac = /Mac|iP(hone|ad)/u.test(navigator.platform);

export function SearchField(): JSX.Element {
  return (
    <search class="search-field">
      <Icon name="search" size={18} />
      <input
        id={searchFieldId}
        type="text"
        enterkeyhint="search"
        placeholder="Search"
        aria-label="Search messages and conversations"
        aria-keyshortcuts="Control+K Meta+K"
        autocomplete="off"
        spellcheck={false}
        maxLength={limits.searchQueryLength}
        value={query.value}
        onInput={(event) => (query.value = event.currentTarget.value)}
        onKeyDown={leaveField}
      />
      {query.value === '' && searchedRoom.value === undefined ? (
        <kbd aria-hidden="true">{onMac ? '⌘K' : 'Ctrl K'}</kbd>
      ) : (
        <button class="icon-button tiny" type="button" onClick={closeSearch} aria-label="End the search">
          <Icon name="close" size={16} />
        </button>
      )}
    </search>
  );
}

/** Moves the focus down to the results, or back to the composer. */
function leaveField(event: TargetedKeyboardEvent<HTMLInputElement>): void {
  if (event.key === 'ArrowDown') {
    event.preventDefault();
    document.querySelector<HTMLElement>('.search-results a')?.focus();
  } else if (event.key === 'Escape') {
    closeSearch();
    document.querySelector<HTMLElement>('.composer textarea')?.focus();
  }
}

/** Whether results are shown instead of the list. */
export function isSearching(): boolean {
  return query.value.trim() !== '' || searchedRoom.value !== undefined;
}

/** Rooms with a matching name come before the messages. */
const maxRooms = 4;

export function SearchResults(): JSX.Element {
  const client = useClient();
  const rooms = useStore(client.rooms);
  const scope = rooms.find(({ id }) => id === searchedRoom.value);
  const found = useSearch(query.value, scope?.id);
  const text = query.value.trim().toLowerCase();
  const named =
    scope === undefined && text !== '' ? rooms.filter((room) => titleOf(room).toLowerCase().includes(text)) : [];
  return (
    <div class="search-results" onKeyDown={walk}>
      <Scope rooms={rooms} />
      {named.length > 0 && (
        <section aria-label="Conversations found">
          <h2>Conversations</h2>
          <ul>
            {named.slice(0, maxRooms).map((room) => (
              <li key={room.id}>
                <a class="found-room" href={addressOf(room.id)} onClick={() => closeSearch()}>
                  <RoomIcon room={room} size={30} />
                  <span dir="auto">{titleOf(room)}</span>
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
      <section aria-label="Messages found">
        <h2>Messages</h2>
        <Progress found={found} />
        <ul>
          {found.hits.map((hit) => (
            <li key={`${hit.message.room} ${hit.message.seq}`}>
              <HitLink hit={hit} room={rooms.find(({ id }) => id === hit.message.room)} inRoom={scope !== undefined} />
            </li>
          ))}
        </ul>
        {found.more && (
          <button class="button wide" type="button" disabled={found.state === 'busy'} onClick={found.loadMore}>
            More results
          </button>
        )}
        <Failure error={found.error} />
      </section>
    </div>
  );
}

/** The scope: all rooms, or the open one. */
function Scope({ rooms }: { rooms: readonly RoomEntry[] }): JSX.Element | null {
  const room = rooms.find(({ id }) => id === (searchedRoom.value ?? shownRoom.value));
  if (room === undefined) return null;
  return (
    <div class="segments" role="group" aria-label="Where to search">
      <button
        type="button"
        aria-pressed={searchedRoom.value === undefined}
        onClick={() => (searchedRoom.value = undefined)}
      >
        Everywhere
      </button>
      <button
        type="button"
        aria-pressed={searchedRoom.value !== undefined}
        onClick={() => (searchedRoom.value = room.id)}
      >
        <span class="sr-only">In </span>
        <span dir="auto">{titleOf(room)}</span>
      </button>
    </div>
  );
}

function Progress({ found: { state, hits } }: { found: Found }): JSX.Element {
  const count = `${hits.length} ${hits.length === 1 ? 'message' : 'messages'}`;
  const words = {
    short: 'Type two letters or more. "In quotes" finds words side by side, -word leaves one out.',
    busy: hits.length === 0 ? 'Searching…' : '',
    done: hits.length === 0 ? 'No messages found.' : '',
    failed: '',
  };
  return (
    <p class="progress muted small-text" role="status">
      {words[state]}
      {state === 'done' && hits.length > 0 && <span class="sr-only">{count} found</span>}
    </p>
  );
}

function HitLink({ hit, room, inRoom }: { hit: Hit; room: RoomEntry | undefined; inRoom: boolean }): JSX.Element {
  const { message, snippet } = hit;
  return (
    <MessageLink
      href={addressOfMessage(message)}
      from={message.from}
      name={nameOf(message.from, message.name)}
      where={inRoom ? undefined : room === undefined ? message.room : titleOf(room)}
      at={message.at}
    >
      {/* Pieces of text, drawn as text: there is no markup in them. */}
      {snippet.map((piece) => (piece.hit ? <mark>{piece.text}</mark> : withNames(piece.text)))}
    </MessageLink>
  );
}

/** Moves the focus through the results, and from the first one up to the field. */
function walk(event: TargetedKeyboardEvent<HTMLDivElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const links = [...event.currentTarget.querySelectorAll('a')];
  const at = links.findIndex((link) => link === document.activeElement);
  if (event.key === 'Escape') document.getElementById(searchFieldId)?.focus();
  if (step === undefined || at === -1) return;
  event.preventDefault();
  (links[at + step] ?? (step < 0 ? document.getElementById(searchFieldId) : undefined))?.focus();
}
