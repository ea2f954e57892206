/** Notifications as one part: the notifier, its tasks, and what commands and REST ask. */
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import type { PeriodicTask } from '../jobs/periodic-task.ts';
import { deliveryHandler } from './delivery.ts';
import { Devices, type DeviceParts } from './devices.ts';
import { explain, type Explanation, type Question } from './explain.ts';
import { countUnread, listNotifications, markNotifications } from './inbox.ts';
import type { JobHandler, Lanes } from './lanes/lanes.ts';
import { keepMonths, ledgerMonthsTask } from './ledger-months.ts';
import { Notifier, type NotifierParts } from './notifier.ts';
import { Preferences } from './preferences.ts';
import { addClears } from './push/clear.ts';
import { ReadRooms } from './read-rooms.ts';
import { jobKind, sweepTask } from './waiting-jobs.ts';
import type { postgres } from '../storage/sql.ts';

export interface NotificationsParts extends Omit<NotifierParts, 'lanes'> {
  /** The pool for the writes of commands; `sql` is that of background work. */
  readonly writes: postgres.Sql;
  readonly reads: postgres.Sql;
  /** The queues of all rows. */
  readonly lanes: Pick<Lanes, 'add' | 'cancel'>;
  readonly devices: Pick<DeviceParts, 'settings' | 'outgoing' | 'key'>;
  readonly ledgerDays: number;
  /** Runs a read in the turn of its user. */
  readonly reading: <T>(user: string, read: () => Promise<T>) => Promise<T>;
}

export class Notifications {
  readonly preferences: Preferences;
  readonly devices: Devices;
  readonly notifier: Notifier;
  readonly #parts: NotificationsParts;
  readonly #readRooms: ReadRooms;
  readonly #tasks: readonly PeriodicTask[];

  constructor(parts: NotificationsParts) {
    this.#parts = parts;
    const ofUsers = { sql: parts.writes, reads: parts.reads, reading: parts.reading };
    this.preferences = new Preferences(ofUsers);
    this.devices = new Devices({ ...ofUsers, ...parts.devices });
    this.notifier = new Notifier(parts);
    this.#readRooms = new ReadRooms(parts);
    this.#tasks = [sweepTask(parts), ledgerMonthsTask(parts)];
  }

  /** The handlers that the lanes call. */
  get handlers(): Readonly<Record<string, JobHandler>> {
    return { [jobKind]: deliveryHandler(this.#parts) };
  }

  start(): void {
    this.notifier.start();
    this.#readRooms.start();
    for (const task of this.#tasks) task.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.notifier.stop(), this.#readRooms.stop(), ...this.#tasks.map((task) => task.stop())]);
  }

  list(user: string, input: ParsedInput<'notification:list'>): Promise<string> {
    return this.#parts.reading(user, () => listNotifications(this.#parts.reads, user, input));
  }

  unread(user: string): Promise<CommandOutput<'notification:unread'>> {
    return this.#parts.reading(user, () => countUnread(this.#parts.reads, user));
  }

  /** The count comes from the pool of the mark, so a replica that is behind cannot answer with the count before. */
  async mark(user: string, input: ParsedInput<'notification:mark'>): Promise<CommandOutput<'notification:mark'>> {
    const cleared = await markNotifications(this.#parts.writes, user, input);
    await addClears(cleared, this.#parts);
    return countUnread(this.#parts.writes, user);
  }

  explain(question: Question): Promise<Explanation[]> {
    return explain(this.#parts.reads, question, this.#parts.now());
  }

  /** Makes the months of the ledger now. */
  keepMonths(): Promise<void> {
    return keepMonths({ ...this.#parts });
  }
}
