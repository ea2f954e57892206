/** Sends a delivery mark for each message that reaches this device, also in rooms that are not open. */
import type { Client } from '../../client/index.ts';

const gatherMs = 1000;
/** Marks in one batch: fewer than the commands that may wait on one connection. */
const roomsAtOnce = 8;

/** @returns a function that ends it */
export function sendDeliveryMarks(client: Client): () => void {
  const sent = new Map<string, number>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Rooms with a newest message of another user that is neither read nor acknowledged by a mark. */
  const due = (): { room: string; seq: number }[] => {
    const me = client.user.value?.id;
    return client.rooms.value.flatMap(({ id, last, read }) =>
      last === undefined || last.from === me || last.seq <= Math.max(read, sent.get(id) ?? 0)
        ? []
        : [{ room: id, seq: last.seq }],
    );
  };
  const send = async (): Promise<void> => {
    const some = due().slice(0, roomsAtOnce);
    for (const { room, seq } of some) sent.set(room, seq);
    // The next mark, or reading, makes up for a lost one.
    await Promise.allSettled(some.map((mark) => client.call('delivered', mark)));
  };
  const soon = (): void => {
    if (timer !== undefined || client.state.value.status !== 'connected' || due().length === 0) return;
    timer = setTimeout(() => {
      timer = undefined;
      void send().then(soon);
    }, gatherMs);
  };
  const stops = [client.rooms.subscribe(soon), client.state.subscribe(soon)];
  soon();
  return () => {
    clearTimeout(timer);
    stops.forEach((stop) => stop());
  };
}
