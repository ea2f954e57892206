/** Users who have blocked others. Each command that writes checks blocks in its SQL function (migrations/0024, 0030). */
import type { postgres } from '../storage/sql.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { refusalError } from './refusals.ts';
import { directRoomId, type Rooms } from './rooms.ts';

/** Not a valid room id, so no membership ends by it. */
const noRoom = '~';

export class Blocks {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #rooms: Rooms;

  constructor({ sql, reads, fanout, rooms }: { sql: postgres.Sql; reads: postgres.Sql; fanout: Fanout; rooms: Rooms }) {
    this.#sql = sql;
    this.#reads = reads;
    this.#fanout = fanout;
    this.#rooms = rooms;
  }

  async block(actor: string, user: string): Promise<void> {
    if (user === actor) throw new ParleyError('invalid', 'user: you cannot block yourself.');
    const pair = directRoomId(actor, user);
    const [row] = await this.#sql<
      [{ outcome: 'blocked' | 'left' | 'already' | 'limit_reached'; name: string | null; version: number | null }]
    >`
      select outcome, ${this.#rooms.memberships.nameOf(actor)}, ${this.#rooms.memberships.endIf(this.#sql`outcome = 'left'`)}
      from block_user(${actor}, ${user}, ${pair}, ${limits.userBlocks}) as outcome`;
    if (row.outcome === 'limit_reached') {
      throw refusalError(row.outcome, `A user blocks at most ${limits.userBlocks} others.`);
    }
    if (row.outcome === 'left') {
      await this.#rooms.memberships.ended(
        { room: pair, user: actor, name: row.name, change: 'left', by: actor },
        row.version,
      );
      await this.#rooms.memberships.applied(pair, actor);
      return;
    }
    this.#recheckPresence(actor);
  }

  async unblock(actor: string, user: string): Promise<void> {
    const lifted = await this.#sql`delete from blocks where user_id = ${actor} and blocked_id = ${user}`;
    if (lifted.count > 0) this.#recheckPresence(actor);
  }

  /** A membership that ends makes every node check who may see whose presence, also where there was none. */
  #recheckPresence(user: string): void {
    this.#fanout.publish([{ to: 'membership', user, room: noRoom, role: null }]);
  }

  async list(actor: string, { after = '', limit }: ParsedInput<'user:blocks'>): Promise<CommandOutput<'user:blocks'>> {
    const rows = await this.#reads<{ user: string; at: number }[]>`
      select blocked_id as user, at from blocks
      where user_id = ${actor} and blocked_id > ${after} order by blocked_id limit ${limit + 1}`;
    const page = rows.slice(0, limit).map(({ user, at }) => ({ user, at }));
    return { blocks: page, after: page.at(-1)?.user ?? null, more: rows.length > limit };
  }
}
