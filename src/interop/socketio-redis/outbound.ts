import { encodeArgs } from '../../transport/socketio/encode.ts';
import type { Form, Frames } from '../../transport/socketio/packet.ts';
import type { EventPacket } from './messages.ts';

/** An event on its way out, written at most once for each form. */
export class Outbound {
  readonly #packet: EventPacket;
  readonly #written = new Map<Form, Frames>();

  constructor(packet: EventPacket) {
    this.#packet = packet;
  }

  readonly frames = (form: Form): Frames => {
    let frames = this.#written.get(form);
    if (frames === undefined) {
      const { id, data } = this.#packet;
      frames = encodeArgs(form, 'event', '/', id === undefined ? '' : String(id), data);
      this.#written.set(form, frames);
    }
    return frames;
  };
}
