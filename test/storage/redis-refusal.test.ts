/** The meaning of the error replies of Redis for their connection. */
import { describe, expect, it } from 'vitest';
import { problemTexts, refusalOf } from '../../src/storage/redis-refusal.ts';

const meaning = (message: string, command = 'set') => refusalOf(new Error(message), command);

describe('a reply of Redis', () => {
  it.each([
    ["READONLY You can't write against a read only replica.", 'replica'],
    ["READONLY You can't write against a read only replica. script: 3b1, on @user_script:1.", 'replica'],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'replica'],
    ['UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)', 'replica'],
    ['LOADING Redis is loading the dataset in memory', 'loading'],
    ['CLUSTERDOWN The cluster is down', 'cluster'],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'cluster'],
    ['MOVED 3999 127.0.0.1:6381', 'cluster'],
    ['ASK 3999 127.0.0.1:6381', 'cluster'],
    ['NOAUTH Authentication required.', 'password'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'password'],
    ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.', 'busy'],
    ['ERR max number of clients reached', 'clients'],
    ['DENIED Redis is running in protected mode', 'permission'],
  ] as const)('%s makes the connection unavailable', (message, problem) => {
    expect(meaning(message)).toEqual({ of: 'connection', problem });
    expect(problemTexts[problem]).toMatch(/\S/);
  });

  it.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", 'memory'],
    ['MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.', 'storage'],
    ['NOREPLICAS Not enough good replicas to write.', 'replicas'],
  ] as const)('%s refuses writes alone', (message, problem) => {
    expect(meaning(message)).toEqual({ of: 'writes', problem });
  });

  it('NOPERM concerns events or keys, by its command; a command for information alone may be forbidden', () => {
    const text = "NOPERM this user has no permissions to run the 'x' command";
    expect(meaning(text, 'publish')).toEqual({ of: 'connection', problem: 'permission' });
    expect(meaning(text, 'subscribe')).toEqual({ of: 'connection', problem: 'permission' });
    expect(meaning(text, 'evalsha')).toEqual({ of: 'writes', problem: 'permission' });
    expect(meaning(text, 'role')).toBeUndefined();
    expect(meaning(text, 'info')).toBeUndefined();
  });

  it.each([
    'ERR unknown command',
    'WRONGTYPE Operation against a key holding the wrong kind of value',
    'NOSCRIPT No matching script. Please use EVAL.',
    'BUSYKEY Target key name already exists.',
    'BUSYGROUP Consumer Group name already exists',
  ])('%s says nothing of the connection', (message) => expect(meaning(message)).toBeUndefined());
});
