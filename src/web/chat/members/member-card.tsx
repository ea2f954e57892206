import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { limits } from '../../../client/index.ts';
import type { Member, Role, RoomEntry } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { blocksOf } from './blocks.ts';
import { muteTimes } from '../../ui/choices.ts';
import { Dialog, Failure, useAction } from '../../ui/dialog.tsx';
import { givenBy, isBelow, mayIn } from '../rights.ts';
import { titleOf } from '../rooms.ts';
import { leaveShown } from '../route.ts';
import { Select } from '../../ui/select.tsx';
import { say } from '../../ui/toast.tsx';
import { useClient } from '../../ui/hooks.ts';

interface CardProps {
  room: RoomEntry;
  member: Member;
  onClose: () => void;
}

/** Whether this user may manage that member in the room. */
function mayManage(room: RoomEntry | undefined, { role }: Member): boolean {
  if (!isBelow(room, role)) return false;
  return (['role', 'remove', 'mute', 'ban'] as const).some((action) => mayIn(room, action));
}

export function cardTitle(room: RoomEntry | undefined, member: Member): string {
  return `${mayManage(room, member) ? 'Manage' : 'About'} ${member.name ?? member.user}`;
}

/** The actions on a member: those of owners and admins, and the block, which every user has. */
export function MemberCard({ room, member, onClose }: CardProps): JSX.Element {
  const name = member.name ?? member.user;
  const manages = mayManage(room, member);
  return (
    <Dialog title={cardTitle(room, member)} onClose={onClose}>
      <div class="card-head">
        <Avatar id={member.user} name={name} size={48} />
        <p>
          <strong dir="auto">{name}</strong>
          <span class="muted small-text">{member.user}</span>
        </p>
      </div>
      {manages && mayIn(room, 'role') && <RolePart room={room} member={member} />}
      {manages && mayIn(room, 'mute') && <MutePart room={room} member={member} />}
      {manages && (mayIn(room, 'remove') || mayIn(room, 'ban')) && (
        <GoPart room={room} member={member} onClose={onClose} />
      )}
      <BlockPart room={room} member={member} onClose={onClose} />
    </Dialog>
  );
}

const roleWords: Record<Exclude<Role, 'owner'>, string> = {
  admin: 'Admin: manages the room',
  member: 'Member: reads and writes',
  guest: 'Guest: reads only',
};

function RolePart({ room, member }: Omit<CardProps, 'onClose'>): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const choose = (role: Exclude<Role, 'owner'>): void =>
    run(async () => {
      await client.call('room:role', { room: room.id, user: member.user, role });
    });
  const roles = givenBy(room);
  return (
    <>
      <label class="field">
        <span>Role</span>
        <select
          value={member.role}
          disabled={busy}
          onChange={(event) => {
            const role = roles[event.currentTarget.selectedIndex];
            if (role !== undefined) choose(role);
          }}
        >
          {roles.map((role) => (
            <option key={role} value={role}>
              {roleWords[role]}
            </option>
          ))}
        </select>
      </label>
      <Failure error={error} />
    </>
  );
}

/** A block applies to the user, not to the room, but it ends their direct conversation. */
function BlockPart({ room, member: { user, name: known }, onClose }: CardProps): JSX.Element {
  const client = useClient();
  const blocks = blocksOf(client);
  const { busy, error, run } = useAction();
  const [confirming, setConfirming] = useState(false);
  const name = known ?? user;
  const block = (): void =>
    run(async () => {
      await blocks.block(user);
      say(`${name} is blocked.`);
      if (room.kind !== 'direct') return;
      // The component is removed with the room.
      client.release(room.id);
      leaveShown(room.id);
    }, onClose);
  if (blocks.users.value.has(user)) {
    return (
      <div class="part">
        <p>You have blocked {name}.</p>
        <button class="button" type="button" disabled={busy} onClick={() => run(() => blocks.unblock(user))}>
          Unblock<span class="sr-only"> {name}</span>
        </button>
        <Failure error={error} />
      </div>
    );
  }
  if (!confirming) {
    return (
      <div class="dialog-buttons">
        <button class="button danger" type="button" onClick={() => setConfirming(true)}>
          Block…
        </button>
      </div>
    );
  }
  return (
    <form class="sure" onSubmit={(event) => (event.preventDefault(), block())}>
      <p>
        {name} can no longer write to you in private, invite you or mention you, and sees you as offline. In rooms that
        you share you still read each other.{room.kind === 'direct' && ' You leave this conversation.'} {name} is not
        informed.
      </p>
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={() => setConfirming(false)}>
          Back
        </button>
        <button class="button danger" type="submit" disabled={busy}>
          Block<span class="sr-only"> {name}</span>
        </button>
      </div>
    </form>
  );
}

const anHour = 3600;

function MutePart({ room, member }: Omit<CardProps, 'onClose'>): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [seconds, setSeconds] = useState<number | undefined>(anHour);
  const { muted } = member;
  const at = { room: room.id, user: member.user };
  const mute = (): void =>
    run(async () => {
      await client.call('room:mute', seconds === undefined ? at : { ...at, seconds });
    });
  const unmute = (): void =>
    run(async () => {
      await client.call('room:unmute', at);
    });
  return (
    <div class="part">
      {muted === undefined ? (
        <>
          <Select label="Mute for" choices={muteTimes} value={seconds} disabled={busy} onChoose={setSeconds} />
          <button class="button" type="button" disabled={busy} onClick={mute}>
            Mute
          </button>
        </>
      ) : (
        <>
          <p>Muted {muted.until === null ? 'until it is lifted' : `until ${new Date(muted.until).toLocaleString()}`}</p>
          <button class="button" type="button" disabled={busy} onClick={unmute}>
            Unmute
          </button>
        </>
      )}
      <Failure error={error} />
    </div>
  );
}

function GoPart({ room, member, onClose }: CardProps): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [confirming, setConfirming] = useState<'remove' | 'ban'>();
  const [reason, setReason] = useState('');
  const name = member.name ?? member.user;
  const at = { room: room.id, user: member.user };
  const go = (): void =>
    run(async () => {
      const why = reason.trim();
      if (confirming === 'remove') await client.call('room:remove', at);
      else await client.call('room:ban', why === '' ? at : { ...at, reason: why });
      onClose();
    });
  if (confirming === undefined) {
    return (
      <div class="dialog-buttons">
        {mayIn(room, 'remove') && (
          <button class="button" type="button" onClick={() => setConfirming('remove')}>
            Remove…
          </button>
        )}
        {mayIn(room, 'ban') && (
          <button class="button danger" type="button" onClick={() => setConfirming('ban')}>
            Ban…
          </button>
        )}
      </div>
    );
  }
  return (
    <form class="sure" onSubmit={(event) => (event.preventDefault(), go())}>
      <p>
        {confirming === 'remove'
          ? `${name} leaves ${titleOf(room)} at once, and may come back if it is open to them.`
          : `${name} leaves ${titleOf(room)} at once, and cannot come back until the ban is lifted.`}
      </p>
      {confirming === 'ban' && (
        <label class="field">
          <span>Reason, for the other admins</span>
          <input
            type="text"
            autofocus
            autocomplete="off"
            maxLength={limits.banReasonLength}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
      )}
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={() => setConfirming(undefined)}>
          Back
        </button>
        <button class="button danger" type="submit" disabled={busy}>
          {confirming === 'remove' ? 'Remove' : 'Ban'}
          <span class="sr-only"> {name}</span>
        </button>
      </div>
    </form>
  );
}
