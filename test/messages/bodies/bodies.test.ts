import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttachmentRulesOptions } from '../../../src/messages/bodies/attachments.ts';
import { Bodies } from '../../../src/messages/bodies/bodies.ts';
import { mentionsIn } from '../../../src/messages/bodies/mentions.ts';
import { limits } from '../../../src/protocol/limits.ts';

const open: AttachmentRulesOptions = {
  attachmentHosts: ['files.example', '*.cdn.example', 'port.example:8443'],
  attachmentTypes: ['image/png', 'audio/*'],
  attachmentMaxBytes: 1000,
  embedded: false,
};
const bodies = new Bodies(open);
const file = { url: 'https://files.example/a.png', type: 'image/png', size: 10 };
const withFile = (changes: object) => ({ attachments: [{ ...file, ...changes }] });
const named = (text: string, names: string[] = []) => mentionsIn(text, names, limits.mentions);
/** The first meaning of each mention. */
const firsts = (text: string) => named(text)?.names.map(([first]) => first) ?? [];

const encryptedOf = (bytes: number) => {
  const empty = JSON.stringify({ alg: 'A', kid: 'k', data: '' }).length;
  return { encrypted: { alg: 'A', kid: 'k', data: 'x'.repeat(bytes - empty) } };
};

describe('mentions in a text', () => {
  it.each([
    ['@ann', ['ann']],
    ['hi @ann, and @ben!', ['ann', 'ben']],
    ['(@ann) "@ben" *@cleo* @ann', ['ann', 'ben', 'cleo']],
    ['@ann-marie @a_b @x:y @a|b', ['ann-marie', 'a_b', 'x:y', 'a|b']],
    ['@bob@mail.example is an id too', ['bob@mail.example']],
    ["@ann's", ['ann']],
    ['наверное,@ann', ['ann']],
    ['mail ann@example.com', []],
    ['почта@ann', []],
    ['see https://site.example/@ann', []],
    ['@', []],
    ['@ ann @. @@', []],
    [`@${'x'.repeat(64)} @${'y'.repeat(65)}`, ['x'.repeat(64)]],
    ['`@ann` and `` a ` @ben `` but @cleo', ['cleo']],
    ['one ` is text: @ann', ['ann']],
    ['``` @ann ` and @ben', ['ann', 'ben']],
    ['```js\n@ann\n```\n@ben', ['ben']],
    ['~~~\n@ann\n```\n@ben\n~~~\n@cleo', ['cleo']],
    ['````\n```\n@ann\n````\n@ben', ['ben']],
    ['```\n@ann, and the fence never ends', []],
    ['`a\n@ann` spans lines', []],
  ])('%j names %j', (text, expected) => {
    expect(firsts(text)).toEqual(expected);
  });

  it('leave a character that may end an id or a sentence to the list of members', () => {
    expect(named('see @ann.')?.names).toEqual([['ann.', 'ann']]);
    expect(named('see @ann...')?.names).toEqual([['ann...', 'ann..', 'ann']]);
  });

  it('may be everybody, by that word alone', () => {
    expect(named('@room, lunch')).toEqual({ names: [], everybody: true });
    expect(named('@rooms')).toEqual({ names: [['rooms']], everybody: false });
    expect(named('`@room`')).toBeUndefined();
    expect(named('', ['@room'])).toEqual({ names: [], everybody: true });
    // a user may have that id
    expect(named('', ['room'])).toEqual({ names: [['room']], everybody: false });
  });

  it('count up to the limit, those named beside the text first', () => {
    const text = Array.from({ length: limits.mentions + 1 }, (_, n) => `@u${n}`).join(' ');
    expect(named(text)?.names).toHaveLength(limits.mentions);
    const some = named(text, ['ann', 'u3'])?.names ?? [];
    expect(some).toHaveLength(limits.mentions);
    expect(some.slice(0, 3)).toEqual([['ann'], ['u3'], ['u0']]);
    const most = Array.from({ length: limits.mentions }, (_, n) => `m${n}`);
    expect(bodies.read({ mentions: most }).mentions?.names).toHaveLength(limits.mentions);
    expect(() => bodies.read({ mentions: [...most, 'one'] })).toThrow(`at most ${limits.mentions} users`);
    expect(() => bodies.read({ mentions: ['no such id'] })).toThrow(/body\.mentions\.0/);
    expect(() => bodies.read({ mentions: 'ann' })).toThrow(/body\.mentions/);
  });

  it('are found in any text without failing, and are ids', () => {
    const piece = fc.constantFrom('@', '@ann', '`', '``', '```', '~~~', '\n', ' ', '.', 'x', '@room', '\\', '😀', '@@');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        for (const id of named(pieces.join(''))?.names.flat() ?? []) expect(id).toMatch(/^[A-Za-z0-9_.:@|+-]{1,64}$/);
      }),
    );
  });

  it('are searched in bodies with a text alone', () => {
    expect(bodies.read('@ann').mentions).toBeUndefined();
    expect(bodies.read(['@ann']).mentions).toBeUndefined();
    expect(bodies.read({ text: ['@ann'] }).mentions).toBeUndefined();
    expect(bodies.read({ text: 'none' }).mentions).toBeUndefined();
    expect(bodies.read({ text: '@ann' })).toEqual({
      json: '{"text":"@ann"}',
      mentions: { names: [['ann']], everybody: false },
    });
  });
});

describe('attachments', () => {
  it.each([
    ['as they are meant', {}],
    ['with all that may be said', { name: 'a cat.png', width: 640, height: 65_535, size: 1000 }],
    ['of a kind of types', { type: 'audio/ogg' }],
    ['below a host', { url: 'https://eu.west.cdn.example/x?y=1#z' }],
    ['at a port', { url: 'https://port.example:8443/' }],
    ['without a path', { url: 'https://files.example' }],
    [
      'with an address as long as may be',
      { url: `https://files.example/${'a'.repeat(limits.attachmentUrlLength - 22)}` },
    ],
    ['with a name as long as may be', { name: 'n'.repeat(limits.attachmentNameLength) }],
  ])('are taken %s', (_, changes) => {
    expect(JSON.parse(bodies.read(withFile(changes)).json)).toEqual(withFile(changes));
  });

  it.each([
    ['at another host', { url: 'https://evil.example/a.png' }, 'not allowed here'],
    ['at a host with a longer name', { url: 'https://xfiles.example/' }, 'not allowed here'],
    ['at the host that only hosts below it', { url: 'https://cdn.example/' }, 'not allowed here'],
    ['at another port', { url: 'https://files.example:8443/' }, 'not allowed here'],
    ['below a host, at another port', { url: 'https://eu.cdn.example:8443/' }, 'not allowed here'],
    ['without TLS', { url: 'http://files.example/a.png' }, 'expected https'],
    ['on this machine', { url: 'http://localhost/a.png' }, 'expected https'],
    ['in the text itself', { url: 'data:image/png;base64,AAAA' }, 'expected https'],
    ['as a script', { url: 'javascript:alert(1)' }, 'expected https'],
    ['with a password', { url: 'https://me:secret@files.example/' }, 'without a password'],
    ['without a host', { url: '/a.png' }, 'absolute address'],
    ['in a form that parsers read differently', { url: 'https://evil.example\\@files.example/' }, 'normal form'],
    ['with spaces around it', { url: ' https://files.example/a.png' }, 'normal form'],
    ['with a name in capitals', { url: 'https://FILES.example/a.png' }, 'normal form'],
    ['with a tab in it', { url: 'https://files.example/a\t.png' }, 'normal form'],
    ['that may be scripts', { type: 'image/svg+xml' }, 'files of the type image/svg+xml'],
    ['of a type in another form', { type: 'image/png; charset=x' }, 'media type'],
    ['of no type', { type: 'png' }, 'media type'],
    ['over the size', { size: 1001 }, 'over 1000 bytes'],
    ['of a size below nothing', { size: -1 }, 'attachments.0.size'],
    [
      'with an address over the length',
      { url: `https://files.example/${'a'.repeat(limits.attachmentUrlLength - 21)}` },
      '.url',
    ],
    ['with a name over the length', { name: 'n'.repeat(limits.attachmentNameLength + 1) }, '.name'],
    ['with a width of nothing', { width: 0 }, '.width'],
    ['with a height over the limit', { height: 65_536 }, '.height'],
    ['with another key, which could be an address', { thumbnail: 'https://evil.example' }, 'thumbnail'],
  ])('are refused %s', (_, changes, reason) => {
    expect(() => bodies.read(withFile(changes))).toThrow(reason);
  });

  it('come as many as the limit says', () => {
    const most = Array.from({ length: limits.attachments }, () => file);
    expect(bodies.read({ attachments: most }).mentions).toBeUndefined();
    expect(() => bodies.read({ attachments: [...most, file] })).toThrow(`at most ${limits.attachments} files`);
    for (const attachments of [null, {}, 'x', [null], [[]], [{}]]) {
      expect(() => bodies.read({ attachments })).toThrow(/body\.attachments/);
    }
    expect(() => bodies.read(withFile({ size: 1001 }))).toThrow(expect.objectContaining({ code: 'too_large' }));
  });

  it('are nowhere unless hosts are named; in the embedded demo on this machine', () => {
    const unset = new Bodies({ ...open, attachmentHosts: undefined });
    expect(() => unset.read(withFile({}))).toThrow('not allowed here');
    expect(() => unset.read(withFile({ url: 'https://localhost/a.png' }))).toThrow('not allowed here');
    const demo = new Bodies({ ...open, attachmentHosts: undefined, embedded: true });
    for (const url of ['http://localhost:8080/a.png', 'http://127.0.0.1/', 'http://[::1]:1/', 'https://localhost/']) {
      expect(demo.read(withFile({ url })).json).toContain(url);
    }
    expect(() => demo.read(withFile({}))).toThrow('not allowed here');
    expect(() => demo.read(withFile({ url: 'http://localhost.evil.example/' }))).toThrow('expected https');
    const any = new Bodies({ ...open, attachmentHosts: ['*'] });
    expect(any.read(withFile({ url: 'https://anything.example:99/' })).json).toContain('anything');
    expect(() => any.read(withFile({ url: 'http://anything.example/' }))).toThrow('expected https');
  });
});

describe('encrypted bodies', () => {
  const encrypted = { alg: 'XC20P+Ed25519', kid: 'did:key:z6Mk#1', data: 'AAAA', nonce: [1, 2] };

  it('are passed as they are, with what stands beside them in the clear', () => {
    const body = { encrypted, mentions: ['ann'], attachments: [file], theme: 'dark' };
    const { json, mentions } = bodies.read(body);
    expect(JSON.parse(json)).toEqual(body);
    expect(mentions).toEqual({ names: [['ann']], everybody: false });
  });

  it.each([
    ['a text beside them', { encrypted, text: 'in the clear' }, 'no `text`'],
    ['no algorithm', { encrypted: { kid: 'k' } }, 'body.encrypted.alg'],
    ['an algorithm with a space', { encrypted: { alg: 'A 1', kid: 'k' } }, 'body.encrypted.alg'],
    ['an algorithm too long', { encrypted: { alg: 'A'.repeat(65), kid: 'k' } }, 'body.encrypted.alg'],
    ['no key', { encrypted: { alg: 'A' } }, 'body.encrypted.kid'],
    ['a key too long', { encrypted: { alg: 'A', kid: 'k'.repeat(129) } }, 'body.encrypted.kid'],
    ['nothing in them', { encrypted: null }, 'body.encrypted'],
    ['a list', { encrypted: [encrypted] }, 'body.encrypted'],
  ])('are refused with %s', (_, body, reason) => {
    expect(() => bodies.read(body)).toThrow(reason);
  });

  it('are as large as the limit says', () => {
    expect(bodies.read({ ...encryptedOf(limits.encryptedBytes), mentions: ['ann'] }).mentions).toBeDefined();
    expect(() => bodies.read(encryptedOf(limits.encryptedBytes + 1))).toThrow(
      expect.objectContaining({ code: 'too_large' }),
    );
  });
});
