/** The stays of one user in a room that the user joins and leaves, for the checker. */
import type { Client } from '../../src/client/index.ts';
import { bodyOf, type Absence, type Recorder } from './recorder.ts';

export class Stay {
  readonly #user: string;
  readonly #room: string;
  readonly #client: Client;
  readonly #recorder: Recorder;
  #absence: Absence | undefined;
  /** False after a command whose answer was lost: it may still take effect. */
  certain = true;

  constructor(user: string, room: string, client: Client, recorder: Recorder) {
    this.#user = user;
    this.#room = room;
    this.#client = client;
    this.#recorder = recorder;
    client.on('message', (message) => {
      if (message.room !== room) return;
      const { k, t } = bodyOf(message);
      // A send that waited for its node may be committed after the user was let in again: that is no leak.
      if (this.#absence === undefined) return;
      recorder.accesses.push({ user, room, what: 'received', key: k, at: t });
    });
  }

  /** They are about to be let in. */
  begins(): void {
    if (this.#absence !== undefined) this.#absence.until = performance.now();
    this.#absence = undefined;
  }

  /** The database went back in time: they are in or out as they were then. */
  restored(): void {
    this.#absence = undefined;
    this.certain = false;
  }

  /** The server has acknowledged the end of the stay. */
  ended(): void {
    if (this.certain) this.#absence = this.#recorder.removed(this.#user, this.#room);
  }

  /** Pulls and signals from outside of the room. A refusal, or an unavailable node, is no finding. */
  async tryOutside(): Promise<void> {
    const at = performance.now();
    const note = (what: 'pulled' | 'signalled'): void =>
      void this.#recorder.accesses.push({ user: this.#user, room: this.#room, what, at });
    const options = { timeoutMs: 2000 };
    const pulling = this.#client.call('sync', { cursors: { [this.#room]: 0 }, limit: 1 }, options);
    const signalling = this.#client.call('signal', { room: this.#room, name: 'typing' }, options);
    const [pulled, signalled] = await Promise.allSettled([pulling, signalling]);
    if (pulled.status === 'fulfilled' && this.#room in pulled.value.rooms) note('pulled');
    if (signalled.status === 'fulfilled') note('signalled');
  }
}
