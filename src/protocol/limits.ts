import { clientLimits } from './client-limits.ts';

/**
 * Limits that are part of the protocol: a client may rely on them and every server keeps them. Limits that an operator may
 * tune (frame size, rates, connections) are in `src/config/keys/`.
 */
export const limits = {
  ...clientLimits,
  /** Nesting of a body. 5,000 levels parse but overflow the stack when they are written again; Postgres has a bound too. */
  bodyDepth: 32,
  /** Binary parts of one signal; stock parsers take as many. */
  signalAttachments: 10,
  roomIdLength: 64,
  userIdLength: 64,
  /** Seconds between two messages of a member: six hours. */
  slowModeSeconds: 21_600,
  /** Ten years. */
  retentionDays: 3650,
  /** How long a room's authors may edit: ten years. */
  editWindowSeconds: 315_360_000,
  /** The longest mute that ends by itself: a year. */
  muteSeconds: 31_536_000,
  /** Users banned from one room. */
  roomBans: 10_000,
  /** Invitations to one room that wait for their answer. */
  roomInvitations: 1000,
  /** Invitations of one user, over all rooms: nobody's list is flooded. */
  userInvitations: 200,
  invitationDays: 30,
  /** How long nobody may invite a user to a room after they declined. */
  invitationRestDays: 30,
  /** How long the id of a deleted room is not given again. */
  deletedRoomDays: 365,
  /** Users whom one user blocks. */
  userBlocks: 1000,
  /** Members of a room who have blocked the sender of a mention of everybody. With more of them nobody gets its event. */
  mentionBlockers: 1000,
  /** Join links of one room that may still bring somebody in. */
  roomLinks: 50,
  linkUses: 100_000,
  /** The longest life of a join link that ends by itself: a year. */
  linkSeconds: 31_536_000,
  /** Words and operators (`or`, `-`) of a search. In scripts without spaces four characters count as a word. */
  searchWords: 8,
  signalNameLength: 32,
  /** Messages in one `POST /publish`. */
  publishedMessages: 500,
  /** Signals in one `POST /signals`. */
  publishedSignals: 500,
  /** `sync` and `history` of one connection that may wait for their answer: each may be a megabyte. */
  pendingReads: 8,
  /** Bytes of messages in one `sync` answer. A single message may exceed it, so that a client always gets on. */
  syncBytes: 1024 * 1024,
  /** Rooms in one answer of `unread`. */
  unreadRooms: 5000,
  /** Rooms with preferences in one answer of `preferences:get`. */
  preferredRooms: 1000,
  /** `unread` counts no further, in a room. */
  unreadCount: 1000,
  /** Hits in one page of `search`. */
  searchPage: 50,
  /** How long a signal may say that it counts. */
  signalExpiryMs: 60_000,
  /** How long one counts that does not say so, typing above all: its sender repeats it every 3 seconds. */
  signalDefaultExpiryMs: 6_000,
  /** Kinds of emoji with which one message may be reacted to. */
  reactionKinds: 50,
  /** Users that one message mentions. Its text mentions the first ones; a longer list in `mentions` is refused. */
  mentions: 50,
  /** Pinned messages of one room. */
  pins: 50,
  /** Files of one message. */
  attachments: 10,
  attachmentUrlLength: 2048,
  attachmentNameLength: 255,
  /** An encrypted body's `encrypted`, as JSON. The rest of a body is for fields that are not encrypted. */
  encryptedBytes: 15 * 1024,
  /** Earlier versions kept of a message: the first and the newest. */
  messageVersions: 100,
  /** Rooms in `ready`; the rest come with `room:list`. */
  readyRooms: 500,
  /** The name of a device, in CONNECT's `device`. */
  deviceNameLength: 64,
  /** Sessions that `session:list` gives, and as many of each node. */
  sessionsListed: 200,
} as const;
