/** The pinned messages of a room: read at each connection and after each change of a pin. */
import { useEffect, useState } from 'preact/hooks';
import type { Message } from '../../../client/index.ts';
import { useClient } from '../../ui/hooks.ts';

const gatherMs = 100;
const none: readonly Message[] = [];

/** The latest pin comes first. */
export function usePins(room: string): readonly Message[] {
  const client = useClient();
  const [pins, setPins] = useState(none);
  useEffect(() => {
    let request = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = (): void => {
      timer = undefined;
      const mine = (request += 1);
      client.call('room:pins', { room }).then(
        ({ messages }) => mine === request && setPins(messages),
        // The next connection or the next pin starts a new request.
        () => undefined,
      );
    };
    const soon = (of: string): void => {
      if (of === room) timer ??= setTimeout(load, gatherMs);
    };
    load();
    const stops = [
      client.on('ready', load),
      client.on('pin', (pin) => soon(pin.room)),
      client.on('behind', (behind) => soon(behind.room)),
      client.on('room:purged', (purged) => soon(purged.room)),
      client.on('message:deleted', (deleted) => {
        if (deleted.room === room) setPins((held) => held.filter(({ seq }) => seq !== deleted.seq));
      }),
      client.on('message:updated', (message) => {
        if (message.room === room) setPins((held) => held.map((one) => (one.seq === message.seq ? message : one)));
      }),
    ];
    return () => {
      request = -1;
      clearTimeout(timer);
      stops.forEach((stop) => stop());
    };
  }, [client, room]);
  return pins;
}
