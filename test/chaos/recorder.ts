/**
 * Knows every message that was sent, every ack and every delivery, until the checker has compared them with Postgres.
 * The key in its body identifies a message: `{k: 'u3-1 17', t: 1234.5}`. `t` is the time of writing (`performance.now`).
 */
import type { Message } from '../../src/protocol/model.ts';

export type FindingKind = 'lost' | 'doubled' | 'reordered' | 'leaked' | 'stalled' | 'view' | 'presence' | 'process';

export interface Sent {
  readonly key: string;
  readonly room: string;
  state: 'waiting' | 'acked' | 'given up';
  seq: number;
}

export interface Body {
  readonly k: string;
  readonly t: number;
}

/** An access of a user to a room. `at`: when the message was written, or when the command was sent. */
export interface Access {
  readonly user: string;
  readonly room: string;
  readonly what: 'received' | 'pulled' | 'signalled';
  readonly key?: string;
  readonly at: number;
}

/** A user is out of a room for certain: from the acknowledgement of the removal until somebody asks to let them in. */
export interface Absence {
  readonly user: string;
  readonly room: string;
  readonly from: number;
  until: number;
}

export const bodyOf = (message: { readonly body: unknown }): Body => message.body as Body;

/** As much as anybody reads. */
const maxFindings = 200;

export class Recorder {
  /** Sent since the last check. */
  readonly sent = new Map<string, Sent>();
  /** The key at a seq of a room, as the first client received it since the last check. */
  readonly received = new Map<string, Map<number, string>>();
  /** The highest seq of each room that was acknowledged. */
  readonly heads = new Map<string, number>();
  readonly findings: { readonly kind: FindingKind; readonly text: string }[] = [];
  /** How often the database went back to what it held at the last check. */
  restores = 0;
  /** Since the last check. */
  readonly accesses: Access[] = [];
  absences: Absence[] = [];
  readonly refusals = new Map<string, number>();
  found = 0;
  acked = 0;
  givenUp = 0;
  deliveries = 0;
  /** Frames with a message that left, each time it did. */
  frames = 0;
  messages = 0;

  find(kind: FindingKind, text: string): void {
    this.found += 1;
    if (this.findings.length < maxFindings) this.findings.push({ kind, text });
  }

  wrote(key: string, room: string): Sent {
    const sent: Sent = { key, room, state: 'waiting', seq: 0 };
    this.sent.set(key, sent);
    this.messages += 1;
    return sent;
  }

  ack(sent: Sent, seq: number): void {
    sent.state = 'acked';
    sent.seq = seq;
    this.acked += 1;
    this.heads.set(sent.room, Math.max(seq, this.heads.get(sent.room) ?? 0));
  }

  refused(sent: Sent, code: string): void {
    sent.state = 'given up';
    this.givenUp += 1;
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  /** Every client has to receive the same message at the same seq. */
  delivered(who: string, { room, seq, ...rest }: Pick<Message, 'room' | 'seq' | 'body'>): void {
    this.deliveries += 1;
    const { k } = bodyOf(rest);
    let known = this.received.get(room);
    if (known === undefined) this.received.set(room, (known = new Map()));
    const before = known.get(seq);
    if (before === undefined) known.set(seq, k);
    else if (before !== k)
      this.find('reordered', `${who} received ${k} as ${room} ${seq}, where others received ${before}`);
  }

  removed(user: string, room: string, from = performance.now()): Absence {
    const absence = { user, room, from, until: Infinity };
    this.absences.push(absence);
    return absence;
  }

  waiting(): Sent[] {
    return [...this.sent.values()].filter(({ state }) => state === 'waiting');
  }

  /** Messages since the last check are gone by intent. Unanswered sends are sent again. */
  restored(): void {
    this.restores += 1;
    for (const { key, state } of this.sent.values()) if (state !== 'waiting') this.sent.delete(key);
    this.received.clear();
    this.heads.clear();
    this.accesses.length = 0;
    this.absences = [];
  }

  /** All of it has been compared with Postgres. */
  forget(): void {
    this.sent.clear();
    this.received.clear();
    this.accesses.length = 0;
    this.absences = this.absences.filter(({ until }) => until === Infinity);
  }
}
