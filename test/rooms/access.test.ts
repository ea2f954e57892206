import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { requireMember } from '../../src/rooms/access.ts';

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const refused = (code: string): Error => expect.objectContaining({ code }) as Error;

describe('access to a room', () => {
  it('is not_found for no room and for rooms that are not open, not_member for channels', () => {
    expect(() => requireMember(undefined)).toThrow(refused('not_found'));
    expect(() => requireMember({ kind: 'group', role: null })).toThrow(refused('not_found'));
    expect(() => requireMember({ kind: 'direct', role: null })).toThrow(refused('not_found'));
    expect(() => requireMember({ kind: 'channel', role: null })).toThrow(refused('not_member'));
    expect(() => requireMember({ kind: 'group', role: 'guest' })).not.toThrow();
  });

  it('is written once in SQL', () => {
    const copies = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .filter((file) =>
        /members (\w+) on \1\.room_id = \w+\.\w+ and \1\.user_id = \$\{/.test(readFileSync(src + file, 'utf8')),
      );
    expect(copies).toEqual(['rooms/access.ts']);
  });
});
