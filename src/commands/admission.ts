/** Decides whether a command may run now: by the rates of its connection and its user, and by the server's load. */
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { CommandRate } from './command-rate.ts';
import type { Connection, LocalUser } from '../hub/connection.ts';
import type { LoadShedding } from './load-shedding.ts';
import type { Unsent } from '../hub/unsent.ts';
import type { UserShares } from './user-shares.ts';
import type { Entry } from './table.ts';

export interface AdmissionParts {
  readonly limits: { readonly maxPendingCommands: number };
  readonly rate: CommandRate;
  readonly loadShedding: LoadShedding;
  readonly unsent: Unsent;
  readonly shares: UserShares;
}

export class Admission {
  readonly #parts: AdmissionParts;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /**
   * @param asked whether the command has been weighed against the server's load already
   * @throws {ParleyError} if the connection or the server may not take another command now
   */
  admit(connection: Connection, user: LocalUser, now: number, entry: Entry | undefined, asked: boolean): void {
    const { limits: own, rate, loadShedding, shares } = this.#parts;
    // of text frames this was checked before they were decoded
    const debt = asked ? 0 : shares.mayReceive(user);
    if (debt > 0) rate.refused(connection);
    const wait = debt > 0 ? debt : rate.take(connection, entry?.weight ?? 1, now);
    if (wait > 0) throw new ParleyError('rate_limited', undefined, { retryAfter: wait });
    connection.refused = 0;
    if (connection.pending >= own.maxPendingCommands) {
      throw new ParleyError('overloaded', 'Too many commands of this connection wait for their answer.', {
        retryAfter: 100,
      });
    }
    if (!asked && !loadShedding.admit()) {
      throw new ParleyError('overloaded', undefined, { retryAfter: 500 + Math.floor(Math.random() * 1000) });
    }
  }

  /** @throws {ParleyError} `overloaded` if the connection waits for as many pages as it may. */
  admitPage(connection: Connection): void {
    if (connection.reading >= limits.pendingReads) {
      throw new ParleyError('overloaded', 'Wait for the pages that are on their way.', { retryAfter: 100 });
    }
  }

  /** @throws {ParleyError} if no large answer may be made for the user now. */
  admitLarge(connection: Connection, user: LocalUser): void {
    this.#parts.unsent.admit(connection, user);
    this.#parts.shares.mayAnswer(user);
  }
}
