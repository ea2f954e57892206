/** What the messages of one open room need to know besides themselves. */
import { createContext } from 'preact';
import type { Context } from 'preact';
import { useContext } from 'preact/hooks';
import type { Member, Room, RoomEntry } from '../../../client/index.ts';
import type { MessageRights } from '../rights.ts';
import type { Receipts } from './use-receipts.ts';

/** Moves with each message and mark: only few of what is drawn may listen. */
export interface OpenRoom {
  readonly entry: RoomEntry | undefined;
  readonly room: Room;
  readonly members: readonly Member[];
  /** Undefined: the room is too large for them. */
  readonly receipts: Receipts | undefined;
  /** The seq of the root of the thread that is shown beside the room. */
  readonly thread: number | undefined;
}

/** Hardly ever moves: each message may listen. */
export interface MessageContext {
  readonly may: MessageRights;
  readonly openThread: (root: number) => void;
  /** The seq of the root of the thread that we are inside of; undefined: in the room's list. */
  readonly inThread: number | undefined;
}

const OpenRoomContext = createContext<OpenRoom | undefined>(undefined);
const MessageScope = createContext<MessageContext | undefined>(undefined);
export const OpenRoomProvider = OpenRoomContext.Provider;
export const MessageContextProvider = MessageScope.Provider;

export const useOpenRoom = (): OpenRoom => useRequired(OpenRoomContext);
export const useMessageContext = (): MessageContext => useRequired(MessageScope);

function useRequired<T>(context: Context<T | undefined>): T {
  const value = useContext(context);
  if (value === undefined) throw new Error('This component stands outside of a room.');
  return value;
}
