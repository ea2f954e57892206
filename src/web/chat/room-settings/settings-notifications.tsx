import type { JSX } from 'preact';
import { OnThisDevice } from '../inbox/inbox-dialog.tsx';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { levelNames, levelOf, setLevel } from '../inbox/notification-levels.ts';
import type { Level } from '../inbox/notification-levels.ts';
import type { SettingsProps } from './room-settings.tsx';

const words: Record<Level, readonly [title: string, about: string]> = {
  all: ['All messages', 'For every message, while this page is hidden.'],
  mentions: ['Mentions', 'Only for mentions of you, or of everybody in the room.'],
  nothing: ['Nothing', 'Muted: not counted, and shown pale in the list.'],
};

/** A setting of this device only, so there is nothing to save on the server. */
export function SettingsNotifications({ room }: SettingsProps): JSX.Element {
  const { error, run } = useAction();
  const chosen = levelOf(room);
  return (
    <>
      <fieldset class="choice">
        <legend class="legend">On this device, notify me of</legend>
        {levelNames.map((level) => (
          <label key={level} class="kind">
            <input
              type="radio"
              name="level"
              value={level}
              checked={level === chosen}
              onChange={() => setLevel(room.id, level)}
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
      <Failure error={error} />
    </>
  );
}
