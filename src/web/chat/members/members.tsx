import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Member, RoomEntry } from '../../../client/index.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { blocksOf } from './blocks.ts';
import { Failure, useAction } from '../../ui/dialog.tsx';
import type { Action } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Invite } from './invite.tsx';
import { cardTitle, MemberCard } from './member-card.tsx';
import { Panel } from '../../ui/panel.tsx';
import { mayIn } from '../rights.ts';
import { leaveShown, showRoom } from '../route.ts';
import { useClient, useStore } from '../../ui/hooks.ts';

interface MembersProps {
  id: string;
  entry: RoomEntry | undefined;
  members: readonly Member[];
  overlay: boolean;
  onClose: () => void;
}

export function Members({ id, entry, members, overlay, onClose }: MembersProps): JSX.Element {
  const client = useClient();
  const presence = useStore(client.room(id).presence);
  const present = members.filter(({ user }) => presence.get(user)?.online === true);
  const absent = members.filter((member) => !present.includes(member));
  const { busy, error, run } = useAction();
  const [inviting, setInviting] = useState(false);
  const [managed, setManaged] = useState<string>();
  const chosen = members.find(({ user }) => user === managed);

  const leave = (): void =>
    run(async () => {
      await client.leaveRoom(id);
      client.release(id);
      // The component may be removed with the room.
      leaveShown(id);
    });
  const mayInvite = mayIn(entry, 'add');
  return (
    <Panel title="Members" variant="members" close="Close members" overlay={overlay} onClose={onClose}>
      {/* Online members come first. One list, so that the focus stays on a member whose presence changes. */}
      <ul>
        {[...present, ...absent].map((member) => (
          <li key={member.user} class="person-row">
            <Person member={member} online={presence.get(member.user)?.online} me={client.user.value?.id} run={run} />
            {member.user !== client.user.value?.id && (
              <button
                class="icon-button tiny"
                type="button"
                onClick={() => setManaged(member.user)}
                aria-label={cardTitle(entry, member)}
                title={cardTitle(entry, member)}
              >
                <Icon name="more" size={22} />
              </button>
            )}
          </li>
        ))}
      </ul>
      <Failure error={error} />
      <footer>
        {mayInvite && (
          <button class="button wide" type="button" onClick={() => setInviting(true)}>
            <Icon name="invite" size={18} /> Invite people
          </button>
        )}
        {entry !== undefined && entry.kind !== 'direct' && (
          <button class="button plain wide" type="button" disabled={busy} onClick={leave}>
            Leave this {entry.kind}
          </button>
        )}
      </footer>
      {entry !== undefined && chosen !== undefined && (
        <MemberCard room={entry} member={chosen} onClose={() => setManaged(undefined)} />
      )}
      {inviting && (
        <Invite room={id} members={new Set(members.map(({ user }) => user))} onClose={() => setInviting(false)} />
      )}
    </Panel>
  );
}

interface PersonProps {
  member: Member;
  online: boolean | undefined;
  me: string | undefined;
  run: Action['run'];
}

function Person({ member, online, me, run }: PersonProps): JSX.Element {
  const client = useClient();
  const blocked = blocksOf(client).users.value.has(member.user);
  const name = member.name ?? member.user;
  const mine = member.user === me;
  const inside = (
    <>
      <Avatar id={member.user} name={name} size={32} online={online} />
      <span class="picker-name" dir="auto">
        {name}
        {mine && <span class="muted"> (you)</span>}
        {online !== undefined && <span class="sr-only">, {online ? 'online' : 'offline'}</span>}
      </span>
      {blocked && <span class="role">blocked</span>}
      {member.muted !== undefined && <span class="role">muted</span>}
      {member.role !== 'member' && <span class="role">{member.role}</span>}
    </>
  );
  if (mine) return <div class="person">{inside}</div>;
  const write = (): void =>
    run(
      () => client.createRoom({ kind: 'direct', user: member.user }),
      (room) => showRoom(room.id),
    );
  return (
    <button class="person" type="button" onClick={write} title={`Write to ${name}`}>
      <span class="sr-only">Write to </span>
      {inside}
    </button>
  );
}
