import { useState } from 'preact/hooks';
import type { JSX, TargetedSubmitEvent } from 'preact';
import type { CommandOutput, Role, RoomEntry } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { fullTime } from '../../ui/dates.ts';
import { Failure, fieldText, useAction } from '../../ui/dialog.tsx';
import { AccessList } from './access-list.tsx';
import { JoinLinks } from './join-links.tsx';
import { knownPeople, nameOf } from '../members/people.ts';
import { givenBy, mayIn } from '../rights.ts';
import type { SettingsProps } from './room-settings.tsx';
import { useClient } from '../../ui/hooks.ts';
import { usePages } from '../../ui/use-pages.ts';

/** Invitations, join links and bans. */
export function SettingsAccess({ room }: SettingsProps): JSX.Element {
  return (
    <>
      {mayIn(room, 'invitations') && <Invited room={room} />}
      {mayIn(room, 'links') && <JoinLinks room={room} />}
      {mayIn(room, 'ban') && <Bans room={room} />}
    </>
  );
}

function Invited({ room }: { room: RoomEntry }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const pages = usePages(room.id, async (after) => {
    const input = { room: room.id, ...(after !== undefined && { after }) };
    const { invitations, ...page } = await client.call('invitation:list', input);
    return { ...page, items: invitations };
  });
  const cancel = (user: string): void =>
    run(async () => {
      await client.call('invitation:cancel', { room: room.id, user });
      pages.reload();
    });
  return (
    <AccessList
      title="Invitations"
      empty="There are no open invitations."
      pages={pages}
      busy={busy}
      error={error}
      row={({ user, role, by, expires }) => ({
        key: user,
        sign: <Avatar id={user} name={nameOf(user)} size={30} />,
        title: <strong dir="auto">{nameOf(user)}</strong>,
        about: (
          <span class="muted small-text">
            as {role}, by {nameOf(by)}, until{' '}
            <time title={fullTime(expires)}>{new Date(expires).toLocaleDateString()}</time>
          </span>
        ),
        button: (
          <>
            Cancel<span class="sr-only"> the invitation of {nameOf(user)}</span>
          </>
        ),
        onEnd: () => cancel(user),
      })}
    >
      {mayIn(room, 'invite') && <InviteForm room={room} onInvited={pages.reload} />}
    </AccessList>
  );
}

function InviteForm({ room, onInvited }: { room: RoomEntry; onInvited: () => void }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const roles = givenBy(room);
  const [role, setRole] = useState<Exclude<Role, 'owner'>>('member');
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = event.currentTarget;
    const text = fieldText(form, 'invited');
    if (text === '') return;
    // A known user may be entered by name; if several users share the name, only the id works.
    const named = knownPeople(client).filter(({ name }) => name === text);
    const user = named.length === 1 && named[0] !== undefined ? named[0].id : text;
    run(async () => {
      await client.call('invitation:create', { room: room.id, user, role });
      form.reset();
      setRole('member');
      onInvited();
    });
  };
  return (
    <form class="invite-form" onSubmit={submit}>
      <label class="field">
        <span>Name or user id</span>
        <input name="invited" type="text" autocomplete="off" spellcheck={false} required list="known-people" />
        <datalist id="known-people">
          {knownPeople(client).map(({ id, name }) => (
            <option key={id} value={name} />
          ))}
        </datalist>
      </label>
      <label class="field">
        <span>As</span>
        <select value={role} onChange={(event) => setRole(roles[event.currentTarget.selectedIndex] ?? 'member')}>
          {roles.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
      </label>
      <button class="button" type="submit" disabled={busy}>
        Invite
      </button>
      <Failure error={error} />
    </form>
  );
}

type Ban = CommandOutput<'room:bans'>['bans'][number];

function Bans({ room }: { room: RoomEntry }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const pages = usePages<Ban>(room.id, async (after) => {
    const input = { room: room.id, ...(after !== undefined && { after }) };
    const { bans, ...page } = await client.call('room:bans', input);
    return { ...page, items: bans };
  });
  const lift = (user: string): void =>
    run(async () => {
      await client.call('room:unban', { room: room.id, user });
      pages.reload();
    });
  return (
    <AccessList
      title="Banned"
      empty="Nobody."
      pages={pages}
      busy={busy}
      error={error}
      row={({ user, name, by, reason }) => ({
        key: user,
        sign: <Avatar id={user} name={nameOf(user, name)} size={30} />,
        title: <strong dir="auto">{nameOf(user, name)}</strong>,
        about: (
          <span class="muted small-text" dir="auto">
            by {nameOf(by)}
            {reason !== null && `: ${reason}`}
          </span>
        ),
        button: (
          <>
            Unban<span class="sr-only"> {nameOf(user, name)}</span>
          </>
        ),
        onEnd: () => lift(user),
      })}
    />
  );
}
