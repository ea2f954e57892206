/** What the messages of one open room need to know besides themselves. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Member, RoomEntry } from '../client/index.ts';
import type { Receipts } from './use-receipts.ts';

export interface Talk {
  readonly entry: RoomEntry | undefined;
  readonly members: readonly Member[];
  /** Undefined: the room is too large for them. */
  readonly receipts: Receipts | undefined;
  /** The seq of the root of the thread that is shown beside the room. */
  readonly thread: number | undefined;
  readonly openThread: (root: number) => void;
  /** We are inside that thread. */
  readonly inThread: boolean;
}

const TalkContext = createContext<Talk | undefined>(undefined);
export const TalkProvider = TalkContext.Provider;

export function useTalk(): Talk {
  const talk = useContext(TalkContext);
  if (talk === undefined) throw new Error('This component stands outside of a room.');
  return talk;
}
