import { useId, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { RoomEntry } from '../../../client/index.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { mayIn } from '../rights.ts';
import { moveFocus } from '../../ui/roving-focus.ts';
import { titleOf } from '../rooms.ts';
import { SettingsAccess } from './settings-access.tsx';
import { SettingsDanger } from './settings-danger.tsx';
import { SettingsGeneral } from './settings-general.tsx';
import { SettingsNotifications } from './settings-notifications.tsx';

export interface SettingsProps {
  room: RoomEntry;
  onClose: () => void;
}

interface Tab {
  readonly name: string;
  readonly shown: (room: RoomEntry) => boolean;
  readonly Panel: (props: SettingsProps) => JSX.Element;
}

const tabs: readonly Tab[] = [
  { name: 'About', shown: ({ kind }) => kind !== 'direct', Panel: SettingsGeneral },
  { name: 'Notifications', shown: () => true, Panel: SettingsNotifications },
  { name: 'Access', shown: (room) => mayIn(room, 'invitations') || mayIn(room, 'links'), Panel: SettingsAccess },
  { name: 'More', shown: () => true, Panel: SettingsDanger },
];

/** The settings of a room, and those that this user may change. */
export function RoomSettings({ room, onClose }: SettingsProps): JSX.Element {
  const shown = tabs.filter((tab) => tab.shown(room));
  const [name, setName] = useState(shown[0]?.name);
  // A permission may be lost while the dialog is open.
  const chosen = shown.find((tab) => tab.name === name) ?? shown[0];
  const id = useId();
  return (
    <Dialog title={titleOf(room)} variant="settings" onClose={onClose}>
      {shown.length > 1 && (
        <div class="tabs" role="tablist" aria-label="Settings" onKeyDown={(event) => moveFocus(event)}>
          {shown.map((tab) => (
            <button
              key={tab.name}
              type="button"
              role="tab"
              id={`${id}-${tab.name}`}
              aria-selected={tab === chosen}
              aria-controls={`${id}-panel`}
              tabIndex={tab === chosen ? 0 : -1}
              onClick={() => setName(tab.name)}
            >
              {tab.name}
            </button>
          ))}
        </div>
      )}
      {chosen !== undefined && (
        <div
          class="tab-panel"
          {...(shown.length > 1 && { role: 'tabpanel', 'aria-labelledby': `${id}-${chosen.name}` })}
          id={`${id}-panel`}
        >
          <chosen.Panel key={room.id} room={room} onClose={onClose} />
        </div>
      )}
    </Dialog>
  );
}
