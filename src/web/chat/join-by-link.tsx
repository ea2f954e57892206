import type { JSX } from 'preact';
import { Dialog, Failure, useAction } from '../ui/dialog.tsx';
import { dropJoinLink, followJoinLink, joinLink } from './join-link.ts';
import { useClient } from '../ui/hooks.ts';

/** Requests a confirmation before a join link is used, because the members of the conversation see the new member. */
export function JoinByLink(): JSX.Element | null {
  const client = useClient();
  const { busy, error, run } = useAction();
  const link = joinLink.value;
  if (link === undefined) return null;
  return (
    <Dialog title="Join a conversation?" onClose={dropJoinLink}>
      <p class="muted">
        You opened a link to a conversation. Its members will see that you joined, and the messages that you write
        there.
      </p>
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={dropJoinLink}>
          Not now
        </button>
        <button
          class="button primary"
          type="button"
          disabled={busy}
          onClick={() => run(() => followJoinLink(client, link))}
        >
          Join
        </button>
      </div>
    </Dialog>
  );
}
