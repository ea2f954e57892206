/**
 * Limits that are part of the protocol: a client may rely on them and every server keeps them. What an operator may
 * tune (frame size, rates, connections) stands in `src/config.ts` instead.
 */
export const limits = {
  /** A message's body or a signal's data, as UTF-8 JSON. */
  bodyBytes: 16 * 1024,
  /** Nesting of a body. 5,000 levels parse but overflow the stack when they are written again; Postgres has a bound too. */
  bodyDepth: 32,
  /** Binary parts of one signal; stock parsers take as many. */
  signalAttachments: 10,
  roomIdLength: 64,
  userIdLength: 64,
  roomNameLength: 80,
  userNameLength: 40,
  signalNameLength: 32,
  /** Entries in one page of `history`, `room:list` and `room:members`. */
  pageSize: 100,
  /** `sync` and `history` of one connection that may wait for their answer: each may be a megabyte. */
  pendingReads: 8,
  /** Rooms in one `sync`. */
  syncRooms: 500,
  /** Messages in one `sync` answer, over all its rooms. */
  syncMessages: 1000,
  /** Bytes of messages in one `sync` answer. A single message may exceed it, so that a client always gets on. */
  syncBytes: 1024 * 1024,
  /** In rooms with more members a read mark is told to the reader's own devices only: everybody telling everybody is n². */
  readReceiptMembers: 100,
  /** Rooms in one answer of `unread`. */
  unreadRooms: 5000,
  /** `unread` counts no further, in a room. */
  unreadCount: 1000,
  /** What somebody looks for, in `search`. */
  searchQueryLength: 200,
  /** Hits in one page of `search`. */
  searchPage: 50,
  /** How long a signal may say that it counts. */
  signalExpiryMs: 60_000,
  /** How long one counts that does not say so, typing above all: its sender repeats it every 3 seconds. */
  signalDefaultExpiryMs: 6_000,
  /** Kinds of emoji with which one message may be reacted to. */
  reactionKinds: 50,
  /** Earlier versions kept of a message: the first and the newest. */
  messageVersions: 100,
  /** Rooms in `ready`; the rest come with `room:list`. */
  readyRooms: 500,
  /** Users in one `presence:get`, `presence:watch` or `presence:unwatch`. */
  presenceUsers: 100,
  /** Users that one connection may watch. */
  presenceWatched: 1000,
  /** What a client calls its device, in CONNECT's `device`. */
  deviceNameLength: 64,
  /** Sessions that `session:list` gives, and as many of each node. */
  sessionsListed: 200,
} as const;
