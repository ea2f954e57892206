import { useEffect, useState } from 'preact/hooks';
import type { JSX, TargetedSubmitEvent } from 'preact';
import { Avatar } from '../../ui/avatar.tsx';
import { Dialog, Failure, fieldText, useAction } from '../../ui/dialog.tsx';
import { peopleAround } from './people.ts';
import { useClient } from '../../ui/hooks.ts';

interface InviteProps {
  room: string;
  members: ReadonlySet<string>;
  onClose: () => void;
}

export function Invite({ room, members, onClose }: InviteProps): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [done, setDone] = useState<ReadonlySet<string>>(new Set());
  // All at once: in a list that grows under the pointer one clicks on the wrong person.
  const [around, setAround] = useState<Awaited<ReturnType<typeof peopleAround>>>();
  useEffect(() => {
    let open = true;
    void peopleAround(client).then((people) => open && setAround(people));
    return () => {
      open = false;
    };
  }, [client]);
  const people = around?.filter(({ id }) => !members.has(id) || done.has(id)) ?? [];

  const invite = (id: string): void =>
    run(async () => {
      await client.invite(room, id);
      setDone((before) => new Set([...before, id]));
    });
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const id = fieldText(event.currentTarget, 'user');
    if (id !== '') invite(id);
  };

  return (
    <Dialog title="Invite people" onClose={onClose}>
      {around === undefined && (
        <p class="muted" role="status">
          Loading people you know…
        </p>
      )}
      {people.length > 0 && (
        <ul class="picker">
          {people.map(({ id, name }) => (
            <li key={id}>
              <Avatar id={id} name={name} size={32} />
              <span class="picker-name" dir="auto" title={id}>
                {name}
              </span>
              <button class="button small" type="button" disabled={busy || done.has(id)} onClick={() => invite(id)}>
                {done.has(id) ? 'Invited' : 'Invite'}
                <span class="sr-only"> {name}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <form class="inline-form" onSubmit={submit}>
        <label class="field">
          <span>{people.length > 0 ? 'Or by user id' : 'User id'}</span>
          <input name="user" type="text" autocomplete="off" spellcheck={false} required />
        </label>
        <button class="button" type="submit" disabled={busy}>
          Invite
        </button>
      </form>
      <Failure error={error} />
    </Dialog>
  );
}
