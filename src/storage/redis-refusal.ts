/**
 * The meaning of an error reply of Redis for the connection that received the reply. Every reply that says "not here" or
 * "not now" is in this list, and nowhere else.
 */

/** The reason for which a connection to Redis is not used. */
export type RedisProblem =
  | 'connection' // it is closed, or could not be made
  | 'silent' // no answer in time
  | 'unreachable' // messages of one connection do not reach the other: they lead to different servers
  | 'replica'
  | 'loading'
  | 'cluster'
  | 'password'
  | 'permission'
  | 'busy'
  | 'clients'
  | WriteProblem;

/** The reason for which Redis takes no writes, though it answers and forwards messages. */
export type WriteProblem = 'memory' | 'storage' | 'replicas' | 'permission';

export type Refusal =
  | { readonly of: 'connection'; readonly problem: RedisProblem }
  | { readonly of: 'writes'; readonly problem: WriteProblem };

const connectionProblems: Readonly<Record<string, RedisProblem>> = {
  READONLY: 'replica',
  MASTERDOWN: 'replica',
  // a blocking command was ended because the server became a replica
  UNBLOCKED: 'replica',
  LOADING: 'loading',
  CLUSTERDOWN: 'cluster',
  TRYAGAIN: 'cluster',
  MOVED: 'cluster',
  ASK: 'cluster',
  NOAUTH: 'password',
  WRONGPASS: 'password',
  NOPROTO: 'connection',
  DENIED: 'permission',
  BUSY: 'busy',
};

const writeProblems: Readonly<Record<string, WriteProblem>> = {
  OOM: 'memory',
  MISCONF: 'storage',
  NOREPLICAS: 'replicas',
};

/** Commands without which no event crosses nodes; a refusal of any other one concerns keys alone. */
const eventCommands: ReadonlySet<string> = new Set([
  'publish',
  'subscribe',
  'psubscribe',
  'unsubscribe',
  'ping',
  'hello',
  'auth',
]);
/** Commands for additional information. Parley works without them where a user of Redis may not send them. */
const optionalCommands: ReadonlySet<string> = new Set(['role', 'info', 'config', 'client']);

/**
 * @param command the command's name in small letters
 * @returns undefined for every other error. NOSCRIPT is one of them: the driver sends the script again, whole.
 */
export function refusalOf(error: Error, command: string | undefined): Refusal | undefined {
  const [code = ''] = error.message.split(' ', 1);
  const problem = connectionProblems[code];
  if (problem !== undefined) return { of: 'connection', problem };
  const write = writeProblems[code];
  if (write !== undefined) return { of: 'writes', problem: write };
  if (code === 'NOPERM') {
    if (command !== undefined && optionalCommands.has(command)) return undefined;
    if (command === undefined || eventCommands.has(command)) return { of: 'connection', problem: 'permission' };
    return { of: 'writes', problem: 'permission' };
  }
  if (/max number of clients/i.test(error.message)) return { of: 'connection', problem: 'clients' };
  if (/invalid password|called without any password/i.test(error.message))
    return { of: 'connection', problem: 'password' };
  return undefined;
}

/** The sentence for the log, `/ready` and doctor. */
export const problemTexts: Readonly<Record<RedisProblem, string>> = {
  connection: 'the connection is closed or cannot be made',
  silent: 'Redis does not answer',
  unreachable: 'published messages do not come back: the host of REDIS_URL leads to several servers',
  replica: 'the server is a replica (READONLY)',
  loading: 'Redis is loading its data (LOADING)',
  cluster: 'the server is a node of a Redis Cluster, or its cluster is down',
  password: 'the user or password is wrong (WRONGPASS, NOAUTH)',
  permission: 'its user lacks a permission (NOPERM)',
  busy: 'Redis runs a script of another client (BUSY)',
  clients: 'Redis has reached its maxclients',
  memory: 'the memory of Redis is full (OOM, maxmemory)',
  storage: 'Redis cannot save its data to disk (MISCONF)',
  replicas: 'Redis has too few replicas (NOREPLICAS)',
};
