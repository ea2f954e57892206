import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signToken, TokenVerifier } from '../../src/sessions/tokens.ts';

const secret = 'the first secret, of at least 32 bytes';
const other = 'another secret, also of at least 32 bytes';
const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

interface Claims {
  sub?: unknown;
  exp?: number;
  [claim: string]: unknown;
}

function sign(key: CryptoKey | Uint8Array, alg: string, claims: Claims, header: object = {}): Promise<string> {
  return new SignJWT({ exp: inAnHour(), ...claims } as JWTPayload).setProtectedHeader({ alg, ...header }).sign(key);
}

const hs = (claims: Claims, by = secret) => sign(new TextEncoder().encode(by), 'HS256', claims);

describe('a token', () => {
  it('has the user, name, tier and expiry', async () => {
    const verifier = await TokenVerifier.create({ secrets: [secret] });
    const exp = inAnHour();
    expect(
      await verifier.verify(await hs({ sub: 'auth0|ann+1@x.org', name: 'Ann', tier: 'premium', exp })),
    ).toMatchObject({
      user: 'auth0|ann+1@x.org',
      name: 'Ann',
      tier: 'premium',
      expires: exp * 1000,
    });
    const bare = await verifier.verify(await signToken(secret, { user: 'ben', ttlSeconds: 60 }));
    expect(bare).toMatchObject({ user: 'ben', name: null, tier: null });
    // a name that nobody could be shown is no reason to refuse somebody
    expect(await verifier.verify(await hs({ sub: 'ben', name: 'a\u0000b' }))).toMatchObject({ name: 'ab' });
    expect(await verifier.verify(await hs({ sub: 'ben', name: '\u0000\u200b' }))).toMatchObject({ name: null });
  });

  it.each([
    ['x'.repeat(40), 'x'.repeat(40)],
    ['x'.repeat(41), `${'x'.repeat(39)}…`],
    // a family is eleven UTF-16 units: never cut inside
    ['👨‍👩‍👧‍👦'.repeat(6), `${'👨‍👩‍👧‍👦'.repeat(3)}…`],
    [`  ${'e\u0301'.repeat(30)}`, `${'e\u0301'.repeat(19)}…`],
    ['x'.repeat(60_000), `${'x'.repeat(39)}…`],
  ])('shortens a name over 40 letters by whole letters, and logs that once', async (name, shown) => {
    const notes: unknown[] = [];
    const verifier = await TokenVerifier.create({ secrets: [secret] }, { note: (fields) => notes.push(fields) });
    const token = await hs({ sub: 'ben', name });
    for (let i = 0; i < 2; i++) expect((await verifier.verify(token)).name).toBe(shown);
    expect(notes).toHaveLength(name === shown ? 0 : 1);
  });

  it.each([
    ['of another secret', () => hs({ sub: 'ann' }, other), 'not signed with a key'],
    ['without sub', () => hs({}), 'sub is missing'],
    ['with a sub that is no user id', () => hs({ sub: 'ann & co' }), 'no user id'],
    ['with a sub that is a number', () => hs({ sub: 7 }), 'sub'],
    [
      'without exp',
      () => sign(new TextEncoder().encode(secret), 'HS256', { sub: 'ann', exp: undefined as never }),
      'exp',
    ],
    ['that is none', () => Promise.resolve('garbage'), 'not a token'],
    ['that is empty in its parts', () => Promise.resolve('..'), 'not a token'],
    ['of no algorithm', () => Promise.resolve(unsigned({ sub: 'ann', exp: inAnHour() })), 'not signed with a key'],
    ['of a stronger algorithm with the same secret', () => hs512({ sub: 'ann' }), 'not signed with a key'],
  ])('%s is unauthorized', async (_, make, reason) => {
    const verifier = await TokenVerifier.create({ secrets: [secret] });
    const failed = verifier.verify(await make());
    await expect(failed).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(failed).rejects.toThrow(reason);
  });

  it('may say any times: those that no date can be written of are the last or the first that can', async () => {
    const verifier = await TokenVerifier.create({ secrets: [secret] });
    const last = 253_402_300_799_999;
    expect(await verifier.verify(await hs({ sub: 'ann', exp: 1e15 }))).toMatchObject({ expires: last, issuedAt: 0 });
    expect(await verifier.verify(await hs({ sub: 'ann', exp: inAnHour() + 0.5, iat: -1e300 }))).toMatchObject({
      issuedAt: 0,
    });
  });

  it('that has run out is token_expired, also one that was good before', async () => {
    const verifier = await TokenVerifier.create({ secrets: [other, secret] });
    const past = await hs({ sub: 'ann', exp: Math.floor(Date.now() / 1000) - 1 });
    await expect(verifier.verify(past)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('is accepted from both secrets while they are rotated', async () => {
    const verifier = await TokenVerifier.create({ secrets: [secret, other] });
    for (const by of [secret, other]) {
      expect(await verifier.verify(await hs({ sub: 'ann' }, by))).toMatchObject({ user: 'ann' });
    }
  });

  it('needs the issuer and the audience of the configuration', async () => {
    const verifier = await TokenVerifier.create({ secrets: [secret], issuer: 'https://id.example', audience: 'chat' });
    const good = { sub: 'ann', iss: 'https://id.example', aud: 'chat' };
    expect(await verifier.verify(await hs(good))).toMatchObject({ user: 'ann' });
    for (const bad of [{ ...good, iss: 'https://evil.example' }, { ...good, aud: 'shop' }, { sub: 'ann' }]) {
      await expect(verifier.verify(await hs(bad))).rejects.toMatchObject({ code: 'unauthorized' });
    }
  });

  it.each(['iat', 'nbf'])(
    'whose %s is ahead of this clock is good within the leeway, and refused for now past it',
    async (claim) => {
      const now = Math.floor(Date.now() / 1000);
      const strict = await TokenVerifier.create({ secrets: [secret], leewayMs: 0 });
      const lenient = await TokenVerifier.create({ secrets: [secret] });
      const at = (ahead: number) => hs({ sub: 'ann', exp: now + 1e6, [claim]: now + ahead });
      for (const ahead of [2, 5, 58]) expect(await lenient.verify(await at(ahead))).toMatchObject({ user: 'ann' });
      await expect(strict.verify(await at(5))).rejects.toMatchObject({ code: 'unavailable', retryable: true });
      const early = lenient.verify(await at(70));
      await expect(early).rejects.toMatchObject({ code: 'unavailable' });
      const { retryAfter = 0 } = (await early.catch((error: { retryAfter?: number }) => error)) as {
        retryAfter?: number;
      };
      // never longer than a minute: a later token may be good sooner
      expect(retryAfter).toBeGreaterThan(5000);
      expect(retryAfter).toBeLessThanOrEqual(11_000);
      const far = await lenient.verify(await at(4000)).catch((error: unknown) => error);
      expect(far).toMatchObject({ code: 'unavailable', retryAfter: 60_000 });
      // milliseconds in the place of seconds: no waiting heals that
      await expect(lenient.verify(await at(now * 999))).rejects.toMatchObject({ code: 'unauthorized' });
      await expect(lenient.verify(await at(1e300))).rejects.toMatchObject({ code: 'unauthorized' });
    },
  );

  it('gets no leeway at its end', async () => {
    const verifier = await TokenVerifier.create({ secrets: [secret] });
    const now = Math.floor(Date.now() / 1000);
    await expect(verifier.verify(await hs({ sub: 'ann', exp: now - 1 }))).rejects.toMatchObject({
      code: 'token_expired',
    });
  });

  it('is remembered without keeping more than the cache may hold', async () => {
    const verifier = await TokenVerifier.create({ secrets: [secret] }, { cacheSize: 2 });
    const tokens = await Promise.all(['a', 'b', 'c', 'a'].map((sub) => hs({ sub })));
    for (const token of [...tokens, ...tokens]) expect((await verifier.verify(token)).user).toMatch(/^[abc]$/);
  });
});

describe.each(['RS256', 'ES256', 'EdDSA'])('%s', (alg) => {
  it('tokens are checked with a PEM public key, also one whose lines are joined by \\n', async () => {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const pem = await exportSPKI(publicKey);
    for (const written of [pem, pem.replaceAll('\n', '\\n')]) {
      const verifier = await TokenVerifier.create({ secrets: [], publicKey: written });
      expect(await verifier.verify(await sign(privateKey, alg, { sub: 'ann' }))).toMatchObject({ user: 'ann' });
    }
    const stranger = await generateKeyPair(alg);
    const verifier = await TokenVerifier.create({ secrets: [], publicKey: pem });
    await expect(verifier.verify(await sign(stranger.privateKey, alg, { sub: 'ann' }))).rejects.toMatchObject({
      code: 'unauthorized',
    });
    // the classic confusion: the public key used as an HS256 secret
    const confused = await sign(new TextEncoder().encode(pem), 'HS256', { sub: 'ann' });
    await expect(verifier.verify(confused)).rejects.toMatchObject({ code: 'unauthorized' });
  });
});

it('a public key that is none stops the start', async () => {
  const key = '-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----';
  await expect(TokenVerifier.create({ secrets: [], publicKey: key })).rejects.toThrow(
    /PARLEY_JWT_PUBLIC_KEY is no PEM/,
  );
});

describe('a JWKS URL', () => {
  let server: Server;
  let url: string;
  let keys: JWK[] = [];
  let fetched = 0;
  let status = 200;
  const pairs = new Map<string, CryptoKey>();

  beforeAll(async () => {
    for (const alg of ['RS256', 'ES256', 'EdDSA']) {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      keys.push({ ...(await exportJWK(publicKey)), kid: alg, alg, use: 'sig' });
      pairs.set(alg, privateKey);
    }
    server = createServer((_, res) => {
      fetched++;
      res.statusCode = status;
      res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  it('gives the keys of all algorithms, and is fetched once', async () => {
    const verifier = await TokenVerifier.create({ secrets: [], jwksUrl: url });
    fetched = 0;
    for (const [alg, key] of pairs) {
      expect(await verifier.verify(await sign(key, alg, { sub: alg }, { kid: alg }))).toMatchObject({ user: alg });
    }
    expect(fetched).toBe(1);
  });

  it('refuses tokens of keys that are not published', async () => {
    const verifier = await TokenVerifier.create({ secrets: [secret], jwksUrl: url });
    const { privateKey } = await generateKeyPair('ES256');
    for (const kid of ['ES256', 'unknown']) {
      const token = await sign(privateKey, 'ES256', { sub: 'ann' }, { kid });
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'unauthorized' });
    }
    expect(await verifier.verify(await hs({ sub: 'ann' }))).toMatchObject({ user: 'ann' });
  });

  it('that has several keys of one kid or algorithm, or tokens without a kid: all are tried', async () => {
    const before = keys;
    const made = await Promise.all(['ES256', 'ES256', 'RS256', 'RS256'].map((alg) => generateKeyPair(alg)));
    const named = async (kid: string | undefined) =>
      (keys = await Promise.all(
        made.map(async ({ publicKey }) => ({ ...(await exportJWK(publicKey)), ...(kid && { kid }), use: 'sig' })),
      ));
    for (const kid of ['same', undefined]) {
      await named(kid);
      const verifier = await TokenVerifier.create({ secrets: [], jwksUrl: url });
      for (const [i, { privateKey }] of made.entries()) {
        const alg = i < 2 ? 'ES256' : 'RS256';
        for (const header of kid === undefined ? [{}] : [{ kid }, {}]) {
          const token = await sign(privateKey, alg, { sub: `u${i}` }, header);
          expect(await verifier.verify(token)).toMatchObject({ user: `u${i}` });
        }
      }
      const stranger = await generateKeyPair('ES256');
      const forged = await sign(stranger.privateKey, 'ES256', { sub: 'eve' }, kid === undefined ? {} : { kid });
      await expect(verifier.verify(forged)).rejects.toMatchObject({ code: 'unauthorized' });
      const early = await sign((made[1] as (typeof made)[0]).privateKey, 'ES256', { sub: 'ann', nbf: inAnHour() });
      await expect(verifier.verify(early)).rejects.toMatchObject({ code: 'unavailable' });
    }
    keys = before;
  });

  it.each([['another kid'], ['the same kid'], ['no kid']])(
    'that was rotated just now, to a key of %s: the new key is good at once, the old one is gone',
    async (form) => {
      const before = keys;
      const kids = form === 'another kid' ? ['a', 'b'] : form === 'the same kid' ? ['a', 'a'] : [undefined, undefined];
      const pair = await Promise.all(
        kids.map(async (kid) => {
          const { publicKey, privateKey } = await generateKeyPair('ES256');
          return {
            jwk: { ...(await exportJWK(publicKey)), ...(kid && { kid }) },
            privateKey,
            header: kid ? { kid } : {},
          };
        }),
      );
      const [old, next] = pair as [(typeof pair)[0], (typeof pair)[0]];
      const tokenBy = ({ privateKey, header }: typeof old) => sign(privateKey, 'ES256', { sub: 'ann' }, header);
      keys = [old.jwk];
      const verifier = await TokenVerifier.create({ secrets: [], jwksUrl: url });
      await verifier.verify(await tokenBy(old));
      keys = [next.jwk];
      expect(await verifier.verify(await tokenBy(next))).toMatchObject({ user: 'ann' });
      await expect(
        verifier.verify(await sign(old.privateKey, 'ES256', { sub: 'ben' }, old.header)),
      ).rejects.toMatchObject({
        code: 'unauthorized',
      });
      keys = before;
    },
  );

  it('is not fetched for every token of an unknown key: past that, the answer is "later"', async () => {
    const verifier = await TokenVerifier.create({ secrets: [], jwksUrl: url });
    const { privateKey } = await generateKeyPair('ES256');
    fetched = 0;
    const codes: unknown[] = [];
    for (let i = 0; i < 20; i++) {
      const token = await sign(privateKey, 'ES256', { sub: 'ann' }, { kid: `k${i}` });
      codes.push(await verifier.verify(token).catch((error: { code: string }) => error.code));
    }
    expect(fetched).toBeLessThanOrEqual(5);
    expect(codes[0]).toBe('unauthorized');
    expect(codes.at(-1)).toBe('unavailable');
    const [alg, key] = [...pairs][0] as [string, CryptoKey];
    expect(await verifier.verify(await sign(key, alg, { sub: 'ann' }, { kid: alg }))).toMatchObject({ user: 'ann' });
  });

  it('that is down later: keys that are known stay good, others are unavailable', async () => {
    let now = Date.now();
    const verifier = await TokenVerifier.create({ secrets: [], jwksUrl: url }, { now: () => now });
    const [alg, key] = [...pairs][0] as [string, CryptoKey];
    await verifier.verify(await sign(key, alg, { sub: 'ann' }, { kid: alg }));
    status = 502;
    now += 20 * 60_000;
    const later = Math.floor(now / 1000) + 3600;
    expect(await verifier.verify(await sign(key, alg, { sub: 'ben', exp: later }, { kid: alg }))).toMatchObject({
      user: 'ben',
    });
    const { privateKey } = await generateKeyPair('ES256');
    const unknown = await sign(privateKey, 'ES256', { sub: 'eve', exp: later }, { kid: 'new' });
    await expect(verifier.verify(unknown)).rejects.toMatchObject({ code: 'unavailable' });
    now += 3 * 3_600_000;
    const tomorrow = await sign(key, alg, { sub: 'cem', exp: later + 86_400 }, { kid: alg });
    await expect(verifier.verify(tomorrow)).rejects.toMatchObject({ code: 'unavailable' });
    status = 200;
  });

  it('that does not answer, or not with keys, makes tokens unavailable, and those of a secret still good', async () => {
    const [alg, key] = [...pairs][0] as [string, CryptoKey];
    const token = await sign(key, alg, { sub: 'ann' }, { kid: alg });
    const nobody = await TokenVerifier.create({ secrets: [secret], jwksUrl: 'http://127.0.0.1:1/keys' });
    await expect(nobody.verify(token)).rejects.toMatchObject({ code: 'unavailable', retryAfter: 5000 });
    expect(await nobody.verify(await hs({ sub: 'ann' }))).toMatchObject({ user: 'ann' });
    for (const broken of [
      () => (status = 502),
      () => (status = 302),
      () => ((status = 200), (keys = 'none' as never)),
      () => (keys = [{ kty: 'EC', kid: 'x'.repeat(2_000_000) }]),
    ]) {
      broken();
      const verifier = await TokenVerifier.create({ secrets: [], jwksUrl: url });
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'unavailable' });
    }
  });
});

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function unsigned(claims: object): string {
  return `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`;
}

function hs512(claims: Claims): Promise<string> {
  return sign(new TextEncoder().encode(secret), 'HS512', claims);
}
