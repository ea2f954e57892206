import type { JSX } from 'preact';
import { OnThisDevice } from '../inbox/inbox-dialog.tsx';
import { preferences, setPreferences } from '../inbox/preferences.ts';
import type { UserPreferences } from '../inbox/preferences.ts';
import { useChange } from '../inbox/use-change.ts';
import { Failure, useAction } from '../../ui/dialog.tsx';
import { fullTime } from '../../ui/dates.ts';
import { useClient } from '../../ui/hooks.ts';

type Day = NonNullable<UserPreferences['quiet']>[number]['day'];
type Content = NonNullable<UserPreferences['content']>;

const days: readonly Day[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const dayNames: Readonly<Record<Day, string>> = {
  mon: 'Mon',
  tue: 'Tue',
  wed: 'Wed',
  thu: 'Thu',
  fri: 'Fri',
  sat: 'Sat',
  sun: 'Sun',
};
const contents: readonly (readonly [Content, string])[] = [
  ['full', 'Sender and text'],
  ['sender', 'Sender only'],
  ['none', 'Nothing of the message'],
];
const hourMs = 3_600_000;

/** The settings of a user about notifications, on all devices. */
export function NotificationSettings(): JSX.Element {
  const client = useClient();
  const { error: failure, run } = useAction();
  const { error, change: store } = useChange();
  const change = (part: UserPreferences): void => store(() => setPreferences(client, part));
  const { content = 'full' } = preferences.value;
  return (
    <section class="settings-part" aria-label="Notifications">
      <h3>Notifications</h3>
      <Snooze change={change} />
      <QuietHours change={change} />
      <label class="field">
        <span>Shown on your devices</span>
        <select value={content} onChange={(event) => change({ content: event.currentTarget.value as Content })}>
          {contents.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <div>
        <OnThisDevice run={run} />
      </div>
      <Failure error={error ?? failure} />
    </section>
  );
}

interface PartProps {
  change: (part: UserPreferences) => void;
}

function Snooze({ change }: PartProps): JSX.Element {
  const { snoozeUntil } = preferences.value;
  if (snoozeUntil !== undefined && snoozeUntil !== null && snoozeUntil > Date.now()) {
    return (
      <p class="snooze">
        <span>Snoozed until {fullTime(snoozeUntil)}</span>
        <button class="button small" type="button" onClick={() => change({ snoozeUntil: null })}>
          End snooze
        </button>
      </p>
    );
  }
  return (
    <p class="snooze">
      <span>Snooze everything</span>
      <button class="button small" type="button" onClick={() => change({ snoozeUntil: Date.now() + hourMs })}>
        For an hour
      </button>
      <button class="button small" type="button" onClick={() => change({ snoozeUntil: tomorrow() })}>
        Until tomorrow
      </button>
    </p>
  );
}

/** Nine o'clock of the next day. */
function tomorrow(): number {
  const date = new Date();
  date.setDate(date.getDate() + 1);
  return date.setHours(9, 0, 0, 0);
}

/** One time for all chosen days; windows that another client has set differently are replaced at the first change. */
function QuietHours({ change }: PartProps): JSX.Element {
  const { quiet = [] } = preferences.value;
  const { from = '22:00', to = '07:00' } = quiet[0] ?? {};
  const chosen = new Set(quiet.map(({ day }) => day));
  const set = (on: ReadonlySet<Day>, times: { from: string; to: string }): void => {
    const { timeZone: zone } = new Intl.DateTimeFormat().resolvedOptions();
    change({ quiet: days.filter((day) => on.has(day)).map((day) => ({ day, ...times, zone })) });
  };
  const toggled = (day: Day): ReadonlySet<Day> =>
    new Set(days.filter((one) => (one === day ? !chosen.has(one) : chosen.has(one))));
  return (
    <fieldset class="quiet-hours">
      <legend class="legend">Quiet hours begin on</legend>
      <div class="quiet-days">
        {days.map((day) => (
          <label key={day}>
            <input type="checkbox" checked={chosen.has(day)} onChange={() => set(toggled(day), { from, to })} />
            {dayNames[day]}
          </label>
        ))}
      </div>
      <div class="quiet-times">
        <Time label="From" value={from} disabled={chosen.size === 0} onSet={(at) => set(chosen, { from: at, to })} />
        <Time label="To" value={to} disabled={chosen.size === 0} onSet={(at) => set(chosen, { from, to: at })} />
      </div>
    </fieldset>
  );
}

interface TimeProps {
  label: string;
  value: string;
  disabled: boolean;
  onSet: (time: string) => void;
}

function Time({ label, value, disabled, onSet }: TimeProps): JSX.Element {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="time"
        value={value}
        disabled={disabled}
        required
        onChange={({ currentTarget: { value: time } }) => time !== '' && onSet(time)}
      />
    </label>
  );
}
