import { useEffect } from 'preact/hooks';
import type { JSX } from 'preact';
import { Avatar } from '../../ui/avatar.tsx';
import { blocksOf } from '../members/blocks.ts';
import { Dialog, Failure, useAction } from '../../ui/dialog.tsx';
import { nameOf } from '../members/people.ts';
import { NotificationSettings } from './notification-settings.tsx';
import { useClient } from '../../ui/hooks.ts';

/** The settings of a user that apply to all rooms. */
export function UserSettings({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Your settings" variant="settings" onClose={onClose}>
      <NotificationSettings />
      <Blocked />
    </Dialog>
  );
}

function Blocked(): JSX.Element {
  const blocks = blocksOf(useClient());
  const { busy, error, run } = useAction();
  // Another device may have changed the list.
  useEffect(() => run(() => blocks.reload()), []);
  const users = [...blocks.users.value];
  return (
    <section class="settings-part" aria-label="Blocked users">
      <h3>Blocked users</h3>
      <p class="muted small-text">
        They cannot write to you in private, invite you or mention you, and see you as offline.
      </p>
      {users.length === 0 && <p class="muted small-text">Nobody.</p>}
      <ul class="rows">
        {users.map((user) => (
          <li key={user}>
            <Avatar id={user} name={nameOf(user)} size={30} />
            <p>
              <strong dir="auto">{nameOf(user)}</strong>
              <span class="muted small-text">{user}</span>
            </p>
            <button class="button small" type="button" disabled={busy} onClick={() => run(() => blocks.unblock(user))}>
              Unblock<span class="sr-only"> {nameOf(user)}</span>
            </button>
          </li>
        ))}
      </ul>
      <Failure error={error} />
    </section>
  );
}
