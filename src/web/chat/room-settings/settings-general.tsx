import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { limits } from '../../../client/index.ts';
import type { CommandInput, RoomEntry } from '../../../client/index.ts';
import { editWindows, labelOf, retentions, slowModes, withPresent } from '../../ui/choices.ts';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { mayIn } from '../rights.ts';
import type { SettingsProps } from './room-settings.tsx';
import { Select } from '../../ui/select.tsx';
import { say } from '../../ui/toast.tsx';
import { useClient } from '../../ui/hooks.ts';

interface Draft {
  readonly name: string;
  readonly topic: string;
  readonly adminsOnly: boolean;
  readonly slowMode: number | undefined;
  readonly editWindow: number | undefined;
  readonly retentionDays: number | undefined;
}

function draftOf(room: RoomEntry): Draft {
  const { name, topic = '', senders, slowMode, editWindow, retentionDays } = room;
  // The command takes 0 for "off", and the summary leaves the setting out.
  const slow = slowMode === 0 ? undefined : slowMode;
  return { name: name ?? '', topic, adminsOnly: senders === 'admins', slowMode: slow, editWindow, retentionDays };
}

/** Only the changed settings: another admin may change the others at the same time. */
function changesOf(room: RoomEntry, draft: Draft): CommandInput<'room:update'> | undefined {
  const before = draftOf(room);
  const [name, topic] = [draft.name.trim(), draft.topic.trim()];
  const input: CommandInput<'room:update'> = {
    room: room.id,
    ...(name !== before.name && { name }),
    ...(topic !== before.topic && { topic: topic === '' ? null : topic }),
    ...(draft.adminsOnly !== before.adminsOnly && { senders: draft.adminsOnly ? ('admins' as const) : 'all' }),
    ...(draft.slowMode !== before.slowMode && { slowMode: draft.slowMode ?? 0 }),
    ...(draft.editWindow !== before.editWindow && { editWindow: draft.editWindow ?? null }),
    ...(draft.retentionDays !== before.retentionDays && { retentionDays: draft.retentionDays ?? null }),
  };
  return Object.keys(input).length > 1 ? input : undefined;
}

export function SettingsGeneral({ room, onClose }: SettingsProps): JSX.Element {
  return mayIn(room, 'update') ? <Form room={room} onClose={onClose} /> : <Facts room={room} />;
}

function Form({ room, onClose }: SettingsProps): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [draft, setDraft] = useState(() => draftOf(room));
  const set = (change: Partial<Draft>): void => setDraft((before) => ({ ...before, ...change }));
  // Compares with the state at the opening of the dialog, so that changes of other admins are kept.
  const [before] = useState(room);
  const changes = changesOf(before, draft);
  const save = (): void => {
    if (changes === undefined) return onClose();
    run(async () => {
      await client.call('room:update', changes);
      say('The settings are saved.');
      onClose();
    });
  };
  const ownerOnly = !mayIn(room, 'retention');
  return (
    <form onSubmit={(event) => (event.preventDefault(), save())}>
      <label class="field">
        <span>Name</span>
        <input
          name="name"
          type="text"
          required
          maxLength={limits.roomNameLength}
          autocomplete="off"
          value={draft.name}
          onInput={(event) => set({ name: event.currentTarget.value })}
        />
      </label>
      <label class="field">
        <span>Topic</span>
        <input
          name="topic"
          type="text"
          maxLength={limits.roomTopicLength}
          autocomplete="off"
          placeholder="The subject of the conversation"
          value={draft.topic}
          onInput={(event) => set({ topic: event.currentTarget.value })}
        />
      </label>
      <label class="switch">
        <input
          type="checkbox"
          role="switch"
          checked={draft.adminsOnly}
          onChange={(event) => set({ adminsOnly: event.currentTarget.checked })}
        />
        <span>
          <strong>Only owner and admins write</strong>
          <span class="muted small-text">The others read and react.</span>
        </span>
      </label>
      <div class="field-grid">
        <Select
          label="Slow mode"
          choices={withPresent(slowModes, draft.slowMode, 's')}
          value={draft.slowMode}
          onChoose={(slowMode) => set({ slowMode })}
        />
        <Select
          label="Authors may edit for"
          choices={withPresent(editWindows, draft.editWindow, 's')}
          value={draft.editWindow}
          onChoose={(editWindow) => set({ editWindow })}
        />
        <Select
          label="Messages are kept"
          choices={withPresent(retentions, draft.retentionDays, 'days')}
          value={draft.retentionDays}
          disabled={ownerOnly}
          {...(ownerOnly && { hint: 'Only the owner can change this.' })}
          onChoose={(retentionDays) => set({ retentionDays })}
        />
      </div>
      {draft.retentionDays !== undefined && draft.retentionDays < (room.retentionDays ?? Infinity) && (
        <p class="notice">Older messages will be deleted for everybody.</p>
      )}
      <Failure error={error} />
      <div class="dialog-buttons">
        <button class="button" type="button" onClick={onClose}>
          Cancel
        </button>
        <button class="button primary" type="submit" disabled={busy || changes === undefined}>
          Save
        </button>
      </div>
    </form>
  );
}

/** The view for members without the permission to change settings. */
function Facts({ room }: { room: RoomEntry }): JSX.Element {
  const { topic, senders, archived } = room;
  const slowMode = room.slowMode === 0 ? undefined : room.slowMode;
  const facts = [
    ['Kind', room.kind === 'channel' ? 'Channel: anybody may join' : 'Group: by invitation'],
    ['Topic', topic ?? '–'],
    ['Your role', room.role ?? '–'],
    ['Who writes', senders === 'admins' ? 'Owner and admins' : 'All members'],
    ['Slow mode', labelOf(slowModes, slowMode, 's')],
    ['Authors may edit for', labelOf(editWindows, room.editWindow, 's')],
    ['Messages are kept', labelOf(retentions, room.retentionDays, 'days')],
    ...(archived === undefined ? [] : [['Archived', new Date(archived).toLocaleDateString()]]),
  ] as const;
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd dir="auto">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
