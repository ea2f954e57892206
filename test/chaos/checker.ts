/** Compares sent, acknowledged, received and shown messages with Postgres, once nothing is under way. */
import type postgres from 'postgres';
import type { Message } from '../../src/protocol/model.ts';
import { bodyOf, type Body, type Recorder } from './recorder.ts';
import type { Crowd } from './crowd.ts';

export type Audience = Pick<Crowd, 'devices' | 'readers'>;

interface Stored {
  readonly room: string;
  readonly seq: number;
  readonly rev: number;
  readonly key: string;
}

interface Head {
  readonly id: string;
  readonly last_seq: number;
  readonly last_rev: number;
}

export class Checker {
  readonly #sql: postgres.Sql;
  readonly #recorder: Recorder;
  readonly #crowd: Audience;
  /** For each room: the seq up to which it was compared. */
  readonly #checked = new Map<string, number>();
  /** For each reader: how often it had begun again. */
  readonly #resets = new Map<string, number>();
  /** Where each key is stored. */
  readonly #stored = new Map<string, string>();
  stored = 0;

  constructor(sql: postgres.Sql, recorder: Recorder, crowd: Audience) {
    this.#sql = sql;
    this.#recorder = recorder;
    this.#crowd = crowd;
  }

  /** Reads only new messages, and the pages that views begin with. */
  async check(): Promise<void> {
    const heads = await this.#sql<Head[]>`select id, last_seq, last_rev from rooms order by id`;
    for (const head of heads) {
      const rows = await this.#rows(head);
      this.#checkRows(head, rows);
      this.#checkViews(head, rows);
      this.#checkReaders(head, rows);
      this.#checked.set(head.id, head.last_seq);
    }
    this.#checkSent();
    this.#checkAccesses();
    this.#recorder.forget();
  }

  async #rows({ id }: Head): Promise<Stored[]> {
    const from = Math.max(0, (this.#checked.get(id) ?? 0) - 200);
    const rows = await this.#sql<{ seq: number; rev: number; body: string }[]>`
      select seq, rev, body from messages where room_id = ${id} and seq > ${from} order by seq`;
    return rows.map(({ seq, rev, body }) => ({
      room: id,
      seq,
      rev,
      key: (JSON.parse(body) as Body).k,
    }));
  }

  #checkRows({ id, last_seq, last_rev }: Head, rows: readonly Stored[]): void {
    const { sent, received } = this.#recorder;
    const checked = this.#checked.get(id) ?? 0;
    let expected = (rows[0]?.seq ?? 1) - 1;
    for (const { seq, rev, key } of rows) {
      expected += 1;
      // nothing but sends takes a rev here
      if (seq !== expected || rev !== seq)
        this.#find('lost', `${id} has seq ${seq}, rev ${rev} where ${expected} is due`);
      if (seq <= checked) continue;
      this.stored += 1;
      const before = this.#stored.get(key);
      if (before !== undefined) this.#find('doubled', `${key} is stored as ${before} and as ${id} ${seq}`);
      this.#stored.set(key, `${id} ${seq}`);
      const message = sent.get(key);
      if (message === undefined) this.#find('doubled', `${key} is stored as ${id} ${seq}, and nobody waits for it`);
      else if (message.state === 'acked' && (message.seq !== seq || message.room !== id)) {
        this.#find('lost', `${key} was acknowledged as ${message.room} ${message.seq}, and is ${id} ${seq}`);
      }
      const reported = received.get(id)?.get(seq);
      if (reported !== undefined && reported !== key)
        this.#find('reordered', `${id} ${seq} was received as ${reported}, and is ${key}`);
    }
    for (const seq of received.get(id)?.keys() ?? []) {
      if (seq > last_seq) this.#find('lost', `${id} ${seq} was received, and is not there`);
    }
    if (last_seq !== expected && rows.length > 0)
      this.#find('lost', `${id} has the head ${last_seq} after ${expected}`);
    if (last_rev !== last_seq) this.#find('lost', `${id} has seq ${last_seq} and rev ${last_rev}`);
  }

  #checkViews({ id, last_seq }: Head, rows: readonly Stored[]): void {
    const offset = rows[0]?.seq ?? 1;
    for (const { name, client, rooms } of this.#crowd.devices) {
      if (!rooms.includes(id)) continue;
      const { status, messages } = client.room(id).state.value;
      if (status !== 'ready') this.#find('view', `${name} has ${id} ${status}`);
      const wrong = messages.findIndex((message, at) => {
        const row = rows[message.seq - offset];
        const known = message.seq >= offset ? row?.key === bodyOf(message).k && row.rev === message.rev : true;
        return !known || message.seq !== (messages[0]?.seq ?? 0) + at;
      });
      if (wrong !== -1) this.#find('view', `${name} shows ${show(messages[wrong])} at ${wrong} in ${id}`);
      if ((messages.at(-1)?.seq ?? 0) !== last_seq) {
        this.#find('view', `${name} shows ${id} up to ${messages.at(-1)?.seq} of ${last_seq}`);
      }
    }
  }

  #checkReaders({ id, last_seq }: Head, rows: readonly Stored[]): void {
    const offset = rows[0]?.seq ?? 1;
    for (const { reader, room, name } of this.#crowd.readers) {
      if (room !== id) continue;
      // a reader may begin again only if the database went back
      const beganAgain = reader.resets !== (this.#resets.get(name) ?? 0);
      if (reader.resets > this.#recorder.restores) this.#find('view', `${name} got reset ${reader.resets} times`);
      this.#resets.set(name, reader.resets);
      let expected = beganAgain ? 0 : (this.#checked.get(id) ?? 0);
      for (const { seq, body } of reader.messages.splice(0)) {
        expected += 1;
        if (seq < expected) this.#find('doubled', `${name} has ${id} ${seq} twice`);
        else if (seq !== expected) this.#find('lost', `${name} has ${id} ${seq} where ${expected} is due`);
        expected = seq;
        if (seq >= offset && rows[seq - offset]?.key !== bodyOf({ body }).k)
          this.#find('reordered', `${name} has another ${id} ${seq}`);
      }
      if (expected !== last_seq) this.#find('lost', `${name} has ${id} up to ${expected} of ${last_seq}`);
    }
  }

  #checkSent(): void {
    for (const { key, room, state, seq } of this.#recorder.sent.values()) {
      if (state === 'waiting') this.#find('lost', `${key} in ${room} has no answer`);
      if (state === 'acked' && this.#stored.get(key) !== `${room} ${seq}`) {
        this.#find('lost', `${key} was acknowledged as ${room} ${seq}, and is ${this.#stored.get(key)}`);
      }
    }
  }

  /** After a removal was acknowledged its user receives nothing written since, pulls nothing and signals nothing. */
  #checkAccesses(): void {
    const { accesses, absences } = this.#recorder;
    for (const { user, room, what, key = '', at } of accesses) {
      const absence = absences.find((one) => one.user === user && one.room === room && at > one.from && at < one.until);
      if (absence === undefined) continue;
      const ms = Math.round(at - absence.from);
      this.#find('leaked', `${user} ${what} ${key} in ${room}, from ${ms} ms after the removal`);
    }
  }

  #find(kind: 'leaked' | 'lost' | 'doubled' | 'reordered' | 'view', text: string): void {
    this.#recorder.find(kind, text);
  }
}

function show(message: Message | undefined): string {
  return message === undefined ? 'nothing' : `${bodyOf(message).k} (seq ${message.seq}, rev ${message.rev})`;
}
