import { encodeArgs } from '../../transport/socketio/encode.ts';
import type { Form, Frames } from '../../transport/socketio/packet.ts';
import type { EventPacket } from './messages.ts';

/** An event to clients, encoded at most once for each form. */
export class Outbound {
  readonly #packet: EventPacket;
  readonly #encoded = new Map<Form, Frames>();

  constructor(packet: EventPacket) {
    this.#packet = packet;
  }

  readonly frames = (form: Form): Frames => {
    let frames = this.#encoded.get(form);
    if (frames === undefined) {
      const { id, data } = this.#packet;
      frames = encodeArgs(form, 'event', '/', id === undefined ? '' : String(id), data);
      this.#encoded.set(form, frames);
    }
    return frames;
  };
}
