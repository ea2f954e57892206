import type { JSX } from 'preact';
import { OnThisDevice } from '../inbox/inbox-dialog.tsx';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { levelNames, levelOf, setLevel } from '../inbox/preferences.ts';
import type { Level } from '../inbox/preferences.ts';
import { useChange } from '../inbox/use-change.ts';
import { useClient } from '../../ui/hooks.ts';
import type { SettingsProps } from './room-settings.tsx';

const words: Record<Level, readonly [title: string, about: string]> = {
  all: ['All messages', 'For every message.'],
  mentions: ['Mentions', 'For mentions of you or of everybody, and for replies in threads that you follow.'],
  none: ['Nothing', 'Muted: not counted, and shown pale in the list.'],
};

/** The level of a room, on all devices of the user. */
export function SettingsNotifications({ room }: SettingsProps): JSX.Element {
  const client = useClient();
  const { error: failure, run } = useAction();
  const { error, change } = useChange();
  const chosen = levelOf(room);
  return (
    <>
      <fieldset class="choice">
        <legend class="legend">Notify me of</legend>
        {levelNames.map((level) => (
          <label key={level} class="kind">
            <input
              type="radio"
              name="level"
              value={level}
              checked={level === chosen}
              onChange={() => change(() => setLevel(client, room.id, level))}
            />
            <span>
              <strong>{words[level][0]}</strong>
              <span class="muted small-text">{words[level][1]}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <div>
        <OnThisDevice run={run} />
      </div>
      <Failure error={error ?? failure} />
    </>
  );
}
