import { useState } from 'preact/hooks';
import type { JSX, TargetedSubmitEvent } from 'preact';
import { limits } from '../../../client/index.ts';
import { Dialog, Failure, fieldText, useAction } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { showRoom } from '../route.ts';
import { useClient } from '../../ui/hooks.ts';

export function NewRoom({ onClose }: { onClose: () => void }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [kind, setKind] = useState<'channel' | 'group'>('channel');
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const name = fieldText(event.currentTarget, 'name');
    if (name === '') return;
    run(
      () => client.createRoom({ kind, name }),
      (room) => (onClose(), showRoom(room.id)),
    );
  };
  return (
    <Dialog title="New conversation" onClose={onClose}>
      <form onSubmit={submit}>
        <fieldset class="choice">
          <legend class="sr-only">Kind</legend>
          <Kind
            value="channel"
            chosen={kind}
            onChoose={setKind}
            title="Channel"
            about="Anybody may find and join it."
          />
          <Kind value="group" chosen={kind} onChoose={setKind} title="Group" about="Only those you invite." />
        </fieldset>
        <label class="field">
          <span>Name</span>
          <input name="name" type="text" required autofocus maxLength={limits.roomNameLength} autocomplete="off" />
        </label>
        <Failure error={error} />
        <button class="button primary wide" type="submit" disabled={busy}>
          Create {kind}
        </button>
      </form>
    </Dialog>
  );
}

interface KindProps {
  value: 'channel' | 'group';
  chosen: string;
  onChoose: (value: 'channel' | 'group') => void;
  title: string;
  about: string;
}

function Kind({ value, chosen, onChoose, title, about }: KindProps): JSX.Element {
  return (
    <label class="kind">
      <input type="radio" name="kind" value={value} checked={chosen === value} onChange={() => onChoose(value)} />
      <Icon name={value} size={22} />
      <span>
        <strong>{title}</strong>
        <span class="muted small-text">{about}</span>
      </span>
    </label>
  );
}
