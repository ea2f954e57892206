/** Reads of rooms: `history` and `sync`, with cursors that may be of another epoch, and the search for messages. */
import type { Epochs } from '../../recovery/epochs.ts';
import type { HistoryPage } from '../../messages/history-page.ts';
import type { Messaging } from '../../messaging.ts';
import type { CatchUp } from '../../recovery/catch-up.ts';
import type { pullCommands } from '../../protocol/commands/reads.ts';
import type { searchCommands } from '../../protocol/commands/search.ts';
import type { HandlersOf } from '../table.ts';
import { Encoded } from '../encoded.ts';
import { beyondEveryHead, ofNoEpoch } from '../old-history.ts';

export interface ReadParts {
  readonly messaging: Messaging;
  readonly catchUp: CatchUp;
  readonly epochs: Epochs;
}

export function readHandlers(parts: ReadParts): HandlersOf<typeof pullCommands & typeof searchCommands> {
  const { messaging, catchUp, epochs } = parts;
  /** The epoch of an answer. If a client names a later epoch than this node knows, the node reads the epoch first. */
  const epochFor = async (given: string | undefined): Promise<string> => {
    if (given !== undefined && given !== epochs.epoch && given !== ofNoEpoch) await epochs.check();
    return epochs.epoch;
  };
  /** Requests that share a page share its answer, so that REST makes its form of the page once. */
  const encoded = new WeakMap<HistoryPage, Encoded>();
  const encodedOf = (page: HistoryPage, room: string): Encoded => {
    const known = encoded.get(page);
    if (known !== undefined) return known;
    const made = new Encoded(page, [{ id: room, rev: page.rev }]);
    encoded.set(page, made);
    return made;
  };
  return {
    history: async ({ user }, input) => {
      const epoch = await epochFor(input.epoch);
      return encodedOf(await messaging.history(user.id, input, epoch), input.room);
    },
    sync: async ({ user }, input) => {
      const epoch = await epochFor(input.epoch);
      const { epoch: given, cursors } = input;
      // a cursor of 0 stands for no content, so every epoch accepts it
      const voids =
        given === undefined || given === epoch ? [] : Object.keys(cursors).filter((room) => cursors[room] !== 0);
      const valid = voids.length === 0 ? input : { ...input, cursors: beyondEveryHead(cursors, voids) };
      const { json, heads } = await catchUp.sync(user.id, valid, epoch);
      return new Encoded(json, heads);
    },
    search: async ({ user }, input) => new Encoded(await messaging.search(user.id, input)),
  };
}
