import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Member, RoomEntry } from '../../../client/index.ts';
import { Dialog, Failure, useAction } from '../../ui/dialog.tsx';
import { mayIn } from '../rights.ts';
import type { SettingsProps } from './room-settings.tsx';
import { titleOf } from '../rooms.ts';
import { leaveShown } from '../route.ts';
import { say } from '../../ui/toast.tsx';
import { useClient, useStore } from '../../ui/hooks.ts';

type Confirmation = 'transfer' | 'delete' | 'leave';

/** Actions on the whole room. */
export function SettingsDanger({ room, onClose }: SettingsProps): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [confirming, setConfirming] = useState<Confirmation>();
  const archived = room.archived !== undefined;
  const stop = (): void => setConfirming(undefined);
  const archive = (): void =>
    run(async () => {
      await client.call(archived ? 'room:unarchive' : 'room:archive', { room: room.id });
      say(archived ? `${titleOf(room)} is open again.` : `${titleOf(room)} is archived.`);
    });
  return (
    <ul class="deeds">
      {mayIn(room, 'archive') && (
        <ActionRow
          title={`${archived ? 'Unarchive' : 'Archive'} this ${room.kind}`}
          about={archived ? 'Archived: members can read, but not write.' : 'Members can still read, but not write.'}
          label={archived ? 'Unarchive' : 'Archive'}
          disabled={busy}
          run={archive}
        />
      )}
      {mayIn(room, 'transfer') && (
        <ActionRow
          title="Transfer the ownership"
          about="Another member becomes the owner, and you become an admin."
          label="Transfer…"
          run={() => setConfirming('transfer')}
        />
      )}
      {mayIn(room, 'leave') && (
        <ActionRow
          title={`Leave this ${room.kind === 'direct' ? 'conversation' : room.kind}`}
          about={
            room.role === 'owner'
              ? 'The earliest member with the highest role becomes the owner.'
              : 'You may join again later.'
          }
          label="Leave…"
          run={() => setConfirming('leave')}
        />
      )}
      {mayIn(room, 'delete') && (
        <ActionRow
          title={`Delete this ${room.kind}`}
          about="All messages are deleted, for everybody."
          label="Delete…"
          danger
          run={() => setConfirming('delete')}
        />
      )}
      <Failure error={error} />
      {confirming === 'transfer' && <Transfer room={room} onClose={stop} />}
      {confirming === 'leave' && <Leave room={room} onClose={stop} onLeft={onClose} />}
      {confirming === 'delete' && <Delete room={room} onClose={stop} onDeleted={onClose} />}
    </ul>
  );
}

interface ActionRowProps {
  title: string;
  about: string;
  label: string;
  disabled?: boolean;
  danger?: boolean;
  run: () => void;
}

function ActionRow({ title, about, label, disabled = false, danger = false, run }: ActionRowProps): JSX.Element {
  return (
    <li>
      <p>
        <strong>{title}</strong>
        <span class="muted small-text">{about}</span>
      </p>
      <button class={danger ? 'button small danger' : 'button small'} type="button" disabled={disabled} onClick={run}>
        {label}
      </button>
    </li>
  );
}

const nameIn = ({ user, name }: Member): string => name ?? user;

function Transfer({ room, onClose }: { room: RoomEntry; onClose: () => void }): JSX.Element {
  const client = useClient();
  const members = useStore(client.room(room.id).members);
  const others = members.filter(({ user }) => user !== client.user.value?.id);
  const [heir, setHeir] = useState<string>();
  const { busy, error, run } = useAction();
  const transfer = (): void => {
    const member = others.find(({ user }) => user === heir);
    if (member === undefined) return;
    run(async () => {
      await client.call('room:transfer', { room: room.id, user: member.user });
      say(`${nameIn(member)} now owns ${titleOf(room)}.`);
    }, onClose);
  };
  return (
    <Dialog title="Transfer the ownership" onClose={onClose}>
      {others.length === 0 ? (
        <p class="muted">There is no other member.</p>
      ) : (
        <label class="field">
          <span>The new owner</span>
          <select value={heir ?? ''} onChange={(event) => setHeir(event.currentTarget.value || undefined)}>
            <option value="">Choose a member</option>
            {others.map((member) => (
              <option key={member.user} value={member.user}>
                {nameIn(member)}
              </option>
            ))}
          </select>
        </label>
      )}
      <p class="muted">Only the new owner can transfer the ownership back.</p>
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={onClose}>
          Cancel
        </button>
        <button class="button danger" type="button" disabled={busy || heir === undefined} onClick={transfer}>
          Transfer
        </button>
      </div>
    </Dialog>
  );
}

const wayBack: Record<RoomEntry['kind'], string> = {
  channel: 'You may join it again.',
  group: 'You need an invitation to join again.',
  direct: 'You may open it again later. Until then, the other user can only invite you.',
};

function Leave({ room, onClose, onLeft }: SettingsProps & { onLeft: () => void }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const leave = (): void =>
    run(async () => {
      await client.leaveRoom(room.id);
      client.release(room.id);
      // The component may be removed with the room.
      leaveShown(room.id);
    }, onLeft);
  return (
    <Dialog title={`Leave ${titleOf(room)}?`} onClose={onClose}>
      <p class="muted">{wayBack[room.kind]}</p>
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={onClose}>
          Stay
        </button>
        <button class="button danger" type="button" disabled={busy} onClick={leave}>
          Leave
        </button>
      </div>
    </Dialog>
  );
}

function Delete({ room, onClose, onDeleted }: SettingsProps & { onDeleted: () => void }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [typed, setTyped] = useState('');
  const title = titleOf(room);
  const remove = (): void =>
    run(async () => {
      await client.call('room:delete', { room: room.id });
      client.release(room.id);
      leaveShown(room.id);
      say(`${title} is deleted.`);
    }, onDeleted);
  return (
    <Dialog title={`Delete ${title}?`} onClose={onClose}>
      <form onSubmit={(event) => (event.preventDefault(), remove())}>
        <p class="muted">
          The conversation and all its messages are deleted at once, for everybody. This cannot be undone.
        </p>
        <label class="field">
          <span>Type its name, {title}, to be sure</span>
          <input
            type="text"
            autocomplete="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <Failure error={error} />
        <div class="dialog-buttons">
          <button class="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button class="button danger" type="submit" disabled={busy || typed.trim() !== title}>
            Delete for everybody
          </button>
        </div>
      </form>
    </Dialog>
  );
}
