/** The contexts of the messages of one open room. */
import { createContext } from 'preact';
import type { Context } from 'preact';
import { useContext } from 'preact/hooks';
import type { Member, Room, RoomEntry } from '../../../client/index.ts';
import type { MessageRights } from '../rights.ts';
import type { Receipts } from './use-receipts.ts';

/** Changes with each message and read mark, so that only few components may use it. */
export interface OpenRoom {
  readonly entry: RoomEntry | undefined;
  readonly room: Room;
  readonly members: readonly Member[];
  /** Undefined: the room is too large for receipts. */
  readonly receipts: Receipts | undefined;
  /** The seq of the root of the thread that is shown beside the room. */
  readonly thread: number | undefined;
}

/** Changes rarely, so that each message may use it. */
export interface MessageContext {
  readonly may: MessageRights;
  readonly openThread: (root: number) => void;
  /** The seq of the root of the enclosing thread; undefined: in the room's list. */
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
  if (value === undefined) throw new Error('This component is used outside of a room.');
  return value;
}
