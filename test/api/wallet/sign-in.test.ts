/** Sign-in by wallet: the wallet of these tests is the key of secp256k1 that each test signs with. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { expect, it } from 'vitest';
import { checksummed } from '../../../src/api/wallet/address.ts';
import { nonceMs, WalletNonces } from '../../../src/api/wallet/nonces.ts';
import { readSignInMessage, writeSignInMessage } from '../../../src/api/wallet/sign-in-message.ts';
import { WalletSignIn } from '../../../src/api/wallet/wallet-sign-in.ts';
import { stage } from '../../stage.ts';
import { testSecret } from '../../support/server.ts';
import { connectStock } from '../../support/stock-client.ts';
import { request } from '../keys-routes.ts';

const config = { PARLEY_WALLET_DOMAINS: 'chat.example.com,localhost:8080', PARLEY_WALLET_CHAINS: '1,137' };
const { nodes, sql } = await stage({ nodes: 2, config, people: ['owner'] });
const [first, second] = nodes;
if (first === undefined || second === undefined) throw new Error('The stage has two nodes.');
const post = (path: string, body: object, node = first) => request(node.url, 'POST', `/auth/wallet${path}`, { body });

interface Wallet {
  readonly address: string;
  /** As `personal_sign` of a wallet. */
  readonly sign: (text: string, first?: number) => string;
}

function wallet(secret: Uint8Array = secp256k1.utils.randomSecretKey()): Wallet {
  const point = secp256k1.getPublicKey(secret, false);
  const address = checksummed(
    `0x${Buffer.from(keccak_256(point.subarray(1)))
      .toString('hex')
      .slice(-40)}`,
  );
  return {
    address,
    sign: (text, firstOfRecovery = 27) => {
      const content = Buffer.from(text);
      const hash = keccak_256(Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${content.length}`), content]));
      const bytes = secp256k1.sign(hash, secret, { prehash: false, format: 'recovered' });
      return `0x${Buffer.concat([bytes.subarray(1), Buffer.of((bytes[0] ?? 0) + firstOfRecovery)]).toString('hex')}`;
    },
  };
}

/** A message with a fresh nonce, as a page makes it. */
async function message(address: string, changes: Partial<Parameters<typeof writeSignInMessage>[0]> = {}) {
  const { domain = 'chat.example.com', chain = 1 } = changes;
  const { body } = await post('/nonce', { domain, chain });
  return writeSignInMessage({
    domain,
    address,
    uri: `https://${domain}/login`,
    chain,
    nonce: String(body['nonce']),
    issuedAt: new Date().toISOString(),
    ...changes,
  });
}

it('a wallet signs in on any node, and the token opens a socket of the user with the address', async () => {
  const { address, sign } = wallet();
  const made = await post('/nonce', { address: address.toLowerCase() });
  expect(made).toMatchObject({ status: 201, body: { domain: 'chat.example.com', chain: 1 } });
  const text = String(made.body['message']);
  expect(readSignInMessage(text)).toMatchObject({ address, nonce: made.body['nonce'] });
  const signed = await post('', { message: text, signature: sign(text) }, second);
  expect(signed).toMatchObject({ status: 201, body: { user: { id: address, name: null } } });
  const client = await connectStock(first.url, String(signed.body['token']));
  await client.ok('room:create', { kind: 'group', name: 'Of the wallet' });
  client.close();
});

it('takes each form of a recovery bit, and every domain and chain of the settings', async () => {
  const { address, sign } = wallet();
  const text = await message(address, { domain: 'localhost:8080', chain: 137, statement: 'Welcome.' });
  expect(await post('', { message: text, signature: sign(text, 0), ttlSeconds: 60 })).toMatchObject({ status: 201 });
});

it('a nonce signs in once, however many requests come at once on both nodes', async () => {
  const { address, sign } = wallet();
  const text = await message(address);
  const signature = sign(text);
  const answers = await Promise.all(
    [first, second, first, second].map((node) => post('', { message: text, signature }, node)),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 401, 401, 401]);
});

it('refuses a message that the wallet did not sign, or that is for somebody else', async () => {
  const { address, sign } = wallet();
  const other = wallet();
  const past = new Date(Date.now() - 1000).toISOString();
  const ahead = new Date(Date.now() + 60_000).toISOString();
  const cases: [status: number, code: string, text: string, signature?: string][] = [
    [401, 'unauthorized', await message(other.address)],
    [401, 'unauthorized', await message(address, { expires: past })],
    [401, 'unauthorized', await message(address, { notBefore: ahead })],
    [401, 'unauthorized', await message(address, { nonce: 'a'.repeat(56) })],
    [401, 'unauthorized', await message(address, { nonce: 'abcdefgh' })],
    [401, 'unauthorized', await message(address, { uri: 'https://evil.example.com/' })],
    [401, 'unauthorized', (await message(address, { chain: 137 })).replace('Chain ID: 137', 'Chain ID: 1')],
    [403, 'forbidden', (await message(address)).replaceAll('chat.example.com', 'evil.example.com')],
    [403, 'forbidden', (await message(address)).replace('Chain ID: 1', 'Chain ID: 5')],
    [400, 'invalid', await message(address.toLowerCase())],
    [501, 'unsupported', await message(address), `0x${'00'.repeat(64)}`],
    [501, 'unsupported', await message(address), `0x${'6492'.repeat(40)}`],
    [401, 'unauthorized', await message(address), `0x${'00'.repeat(65)}`],
    [401, 'unauthorized', await message(address), `0x${'ff'.repeat(65)}`],
    [400, 'invalid', await message(address), 'signature'],
    [400, 'invalid', await message(address), '0x123'],
  ];
  for (const [status, code, text, signature = sign(text)] of cases) {
    const answer = await post('', { message: text, signature });
    expect([text, answer.status, answer.body['code']]).toEqual([text, status, code]);
  }
  expect((await post('/nonce', { domain: 'evil.example.com' })).body).toMatchObject({ code: 'forbidden' });
  expect((await post('/nonce', { chain: 5 })).body).toMatchObject({ code: 'forbidden' });
  expect(await sql`select nonce from wallet_nonces`).toHaveLength(3);
});

it('refuses the twin of a signature, so that one message has one signature', async () => {
  const { address, sign } = wallet();
  const text = await message(address);
  const bytes = Buffer.from(sign(text).slice(2), 'hex');
  const s = secp256k1.Point.Fn.ORDER - BigInt(`0x${bytes.subarray(32, 64).toString('hex')}`);
  const twin = `0x${bytes.subarray(0, 32).toString('hex')}${s.toString(16).padStart(64, '0')}${(55 - (bytes[64] ?? 0)).toString(16)}`;
  expect(await post('', { message: text, signature: twin })).toMatchObject({ status: 401 });
  expect(await post('', { message: text, signature: sign(text) })).toMatchObject({ status: 201 });
});

it('a nonce ends after five minutes, and the database forgets used nonces', async () => {
  let now = Date.now();
  const clock = () => now;
  const nonces = new WalletNonces({ sql, secret: testSecret, now: clock });
  const signIn = new WalletSignIn({
    walletDomains: ['chat.example.com'],
    walletChains: [1],
    nonces,
    signing: { secret: testSecret },
    now: clock,
  });
  const { address, sign } = wallet();
  const { nonce, expires } = signIn.nonce({});
  expect(expires).toBeLessThanOrEqual(now + nonceMs);
  const issuedAt = new Date(now).toISOString();
  const text = writeSignInMessage({
    domain: 'chat.example.com',
    address,
    uri: 'https://chat.example.com',
    chain: 1,
    nonce,
    issuedAt,
  });
  now = expires;
  await expect(signIn.signIn(text, sign(text), 60)).rejects.toMatchObject({ code: 'unauthorized' });
  now = expires - 1;
  await signIn.signIn(text, sign(text), 60);
  await sql`update wallet_nonces set ends_at = clock_timestamp() - interval '2 minutes'`;
  await nonces.spend(nonces.create({ domain: 'chat.example.com', chain: 1 }).nonce);
  expect(await sql`select nonce from wallet_nonces`).toHaveLength(1);
});
