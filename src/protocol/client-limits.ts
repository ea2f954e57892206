/** Limits of the protocol that clients meet. A file of their own keeps the server's limits out of the SDK. */
export const clientLimits = {
  /** A message's body or a signal's data, as UTF-8 JSON. */
  bodyBytes: 16 * 1024,
  /** Entries in one page of `history`, `room:list`, `room:members` and the like. */
  pageSize: 100,
  /** Rooms in one `sync`. */
  syncRooms: 500,
  /** Messages in one `sync` answer, over all its rooms. */
  syncMessages: 1000,
  /** Users in one `presence:get`, `presence:watch` or `presence:unwatch`. */
  presenceUsers: 100,
  /** Users that one connection may watch. */
  presenceWatched: 1000,
  /** Threads that one user follows; of more the longest followed are let go. */
  followedThreads: 1000,
  /** Up to here the unread replies of a thread are counted. */
  threadUnread: 100,
  banReasonLength: 200,
  /** In rooms with more members only the reader's own devices get a read mark: a mark of each for each is n². */
  readReceiptMembers: 100,
  roomNameLength: 80,
  /** The topic of a room, in letters. */
  roomTopicLength: 250,
  /** Letters of a search for channels. */
  searchLength: 80,
  /** Letters of the query of `search`. */
  searchQueryLength: 200,
  userNameLength: 40,
} as const;
