/** The compared subjects: how each is started, and brought to the state that a row needs. */
import type { LoadClient } from '../client.ts';
import type { Context } from '../context.ts';

/** The connections of a row. Room names have one length, so that all events have; see `frames.ts`. */
export interface Crowd {
  /** The prefix of users and files; each row has its own. */
  readonly name: string;
  /** The rooms of each connection. A sender sends to its first one. */
  readonly rooms: readonly (readonly string[])[];
  /** The first so many connections send. No published event comes back to a sender. */
  readonly senders: number;
  /** `echo`: a command that is only acked. */
  readonly does: 'publish' | 'echo' | 'nothing';
}

export interface Running {
  /** The processes whose memory and processor time count. */
  readonly pids: readonly number[];
  /** @returns the first `count` connections of the crowd, all up and in their rooms. Files must be there by then. */
  connect(count?: number): Promise<LoadClient>;
  stop(): Promise<void>;
}

export type SubjectName = 'parley' | 'parley3' | 'socketio' | 'socketio-uws' | 'uws' | 'ws' | 'nchan' | 'nats';

export interface Subject {
  /** In `--peers`. */
  readonly name: SubjectName;
  /** In the tables and charts. */
  readonly title: string;
  /** Called once a run. @returns the reason if the subject cannot take part at all. */
  missing(context: Context): string | undefined;
  /** @returns the reason if the subject cannot take part with such a crowd. */
  cannot?(context: Context, crowd: Crowd): string | undefined;
  /** Versions of parts that are no npm package. */
  versions?(): Record<string, string>;
  open(context: Context, crowd: Crowd): Promise<Running>;
}

/** A subject that is missing in a row. */
export interface LeftOut {
  /** Absent: the subject is missing in the whole run. */
  row?: string;
  subject: string;
  why: string;
}

export const userOf = (crowd: Crowd, i: number): string => `${crowd.name}-${i}`;

/** The room that connection i sends to. */
export const targetOf = (crowd: Crowd, i: number): string => crowd.rooms[i]?.[0] ?? '';

/** The rooms that connection i listens to. Senders of a publish listen to none. */
export const listensTo = (crowd: Crowd, i: number): readonly string[] =>
  crowd.does === 'echo' || (crowd.does === 'publish' && i < crowd.senders) ? [] : (crowd.rooms[i] ?? []);
