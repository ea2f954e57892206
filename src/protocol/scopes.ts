/** The rights of an API key. Each command and each route of REST names the one scope that a key needs for it. */
export const scopes = [
  'publish',
  'rooms',
  'members',
  'users',
  'messages:read',
  'tokens',
  'notifications',
  'webhooks',
  'operate',
  'admin',
] as const;

export type Scope = (typeof scopes)[number];

/** The purpose of each scope, for the help of the CLI, the documentation and OpenAPI. */
export const scopeMeanings: Readonly<Record<Scope, string>> = {
  publish: 'stores messages, edits, deletes, reacts and pins, and sends signals',
  rooms: 'makes, changes, archives, deletes and lists rooms',
  members: 'adds, removes, mutes and bans members, and manages invitations and links',
  users: 'reads, changes and deletes users',
  'messages:read': 'reads messages, changes, threads, receipts and search',
  tokens: 'makes tokens of users, and lists and revokes sessions',
  notifications: 'reads and changes devices, preferences and notifications',
  webhooks: 'reads and changes webhooks and dead letters',
  operate: 'reads the health, the performance and the jobs of the server',
  admin: 'has every scope, and manages API keys',
};
