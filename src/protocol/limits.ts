/**
 * Limits that are part of the protocol: a client may rely on them and every server keeps them. What an operator may
 * tune (frame size, rates, connections) stands in `src/config.ts` instead.
 */
export const appLimits = {
  /** A message's body or a signal's data, as UTF-8 JSON. */
  bodyBytes: 16 * 1024,
  roomNameLength: 80,
  userNameLength: 40,
  /** What a room is about. */
  roomTopicLength: 250,
  /** Seconds between two messages of a member: six hours. */
  slowModeSeconds: 21_600,
  /** Ten years. */
  retentionDays: 3650,
  /** How long a room's authors may edit: ten years. */
  editWindowSeconds: 315_360_000,
  /** The longest mute that ends by itself: a year. */
  muteSeconds: 31_536_000,
  banReasonLength: 200,
  invitationDays: 30,
  /** The longest life of a join link that ends by itself: a year. */
  linkSeconds: 31_536_000,
  /** Letters of a search for channels, and words of it that are looked for. */
  searchLength: 80,
  signalNameLength: 32,
  /** Entries in one page of `history`, `room:list`, `room:members` and the like. */
  pageSize: 100,
  /** Rooms in one `sync`. */
  syncRooms: 500,
  /** Messages in one `sync` answer, over all its rooms. */
  syncMessages: 1000,
  /** In rooms with more members a read mark is told to the reader's own devices only: everybody telling everybody is n². */
  readReceiptMembers: 100,
  /** What somebody looks for, in `search`. */
  searchQueryLength: 200,
  /** Hits in one page of `search`. */
  searchPage: 50,
  /** Kinds of emoji with which one message may be reacted to. */
  reactionKinds: 50,
  /** Users that one message mentions. Of more in its text the first count; more in `mentions` are refused. */
  mentions: 50,
  /** Pinned messages of one room. */
  pins: 50,
  /** Threads that one user follows; of more the longest followed are let go. */
  followedThreads: 1000,
  /** Up to here the unread replies of a thread are counted. */
  threadUnread: 100,
  /** Files of one message. */
  attachments: 10,
  attachmentUrlLength: 2048,
  attachmentNameLength: 255,
  /** Users in one `presence:get`, `presence:watch` or `presence:unwatch`. */
  presenceUsers: 100,
  /** Users that one connection may watch. */
  presenceWatched: 1000,
  /** What a client calls its device, in CONNECT's `device`. */
  deviceNameLength: 64,
} as const;

/** All limits. The SDK carries the others only, which applications show or keep to. */
export const limits = {
  ...appLimits,
  /** Nesting of a body. 5,000 levels parse but overflow the stack when they are written again; Postgres has a bound too. */
  bodyDepth: 32,
  /** Binary parts of one signal; stock parsers take as many. */
  signalAttachments: 10,
  /** Users banned from one room. */
  roomBans: 10_000,
  /** Invitations to one room that wait for their answer. */
  roomInvitations: 1000,
  /** Those of one user, over all rooms: nobody's list is flooded. */
  userInvitations: 200,
  /** Join links of one room that may still bring somebody in. */
  roomLinks: 50,
  linkUses: 100_000,
  searchWords: 8,
  /** `sync` and `history` of one connection that may wait for their answer: each may be a megabyte. */
  pendingReads: 8,
  /** Bytes of messages in one `sync` answer. A single message may exceed it, so that a client always gets on. */
  syncBytes: 1024 * 1024,
  /** Rooms in one answer of `unread`. */
  unreadRooms: 5000,
  /** `unread` counts no further, in a room. */
  unreadCount: 1000,
  /** How long a signal may say that it counts. */
  signalExpiryMs: 60_000,
  /** How long one counts that does not say so, typing above all: its sender repeats it every 3 seconds. */
  signalDefaultExpiryMs: 6_000,
  /** Earlier versions kept of a message: the first and the newest. */
  messageVersions: 100,
  /** Rooms in `ready`; the rest come with `room:list`. */
  readyRooms: 500,
  /** Sessions that `session:list` gives, and as many of each node. */
  sessionsListed: 200,
  /** An encrypted body's `encrypted`, as JSON. It leaves room for what stands beside it in the clear. */
  encryptedBytes: 15 * 1024,
  roomIdLength: 64,
  userIdLength: 64,
} as const;
