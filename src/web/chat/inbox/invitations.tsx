import type { JSX } from 'preact';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { inboxOf } from './inbox.ts';
import type { Invitation } from './inbox.ts';
import { nameOf } from '../members/people.ts';
import { RoomIcon } from '../room-icon.tsx';
import { shownRoom, showRoom } from '../route.ts';
import { useClient } from '../../ui/hooks.ts';

/** The invitations that wait for this user's answer. */
export function Invitations({ onAccepted }: { onAccepted?: () => void }): JSX.Element {
  const client = useClient();
  const inbox = inboxOf(client);
  const { busy, error, run } = useAction();
  const accept = (invitation: Invitation): void => {
    const from = shownRoom.peek();
    run(
      () => inbox.accept(invitation),
      () => {
        onAccepted?.();
        // A user that has opened another room meanwhile stays there.
        if (shownRoom.peek() === from) showRoom(invitation.room);
      },
    );
  };
  return (
    <>
      <ul>
        {inbox.invitations.value.map((invitation) => {
          const { by, byName, kind, role } = invitation;
          const inviter = nameOf(by, byName);
          const title = kind === 'direct' ? inviter : (invitation.name ?? invitation.room);
          const peer = { id: by, name: byName };
          return (
            <li key={invitation.room} class="invitation">
              <RoomIcon room={{ ...invitation, id: invitation.room, peer }} size={38} />
              <p>
                <strong dir="auto">{title}</strong>
                <span class="muted small-text" dir="auto">
                  {kind === 'direct' ? 'wants to write to you' : `${inviter} invites you`}
                  {role === 'member' ? '' : ` as ${role}`}
                </span>
              </p>
              <div class="invitation-buttons">
                <button class="button small primary" type="button" disabled={busy} onClick={() => accept(invitation)}>
                  Accept<span class="sr-only"> {title}</span>
                </button>
                <button
                  class="button small"
                  type="button"
                  disabled={busy}
                  onClick={() => run(() => inbox.decline(invitation))}
                >
                  Decline<span class="sr-only"> {title}</span>
                </button>
              </div>
            </li>
          );
        })}
      </ul>
      <Failure error={error} />
    </>
  );
}
