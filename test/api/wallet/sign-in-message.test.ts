/** The form of EIP-4361, and the checksum of EIP-55. */
import { expect, it } from 'vitest';
import { checksummed, signerOf } from '../../../src/api/wallet/address.ts';
import { readSignInMessage, writeSignInMessage, type SignInMessage } from '../../../src/api/wallet/sign-in-message.ts';

const whole: SignInMessage = {
  domain: 'example.com',
  address: '0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2',
  statement: 'I accept the ExampleOrg Terms of Service: https://example.com/tos',
  uri: 'https://example.com/login',
  chain: 1,
  nonce: '32891756',
  issuedAt: '2021-09-30T16:25:24Z',
  expires: '2100-01-01T00:00:00.5+02:00',
  notBefore: '2021-09-30T16:25:24Z',
  requestId: 'some_id',
  resources: [
    'ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/',
    'https://example.com/my-web2-claim.json',
  ],
};

const text = writeSignInMessage(whole);
const lines = text.split('\n');

it('writes and reads the example of the standard', () => {
  expect(lines.slice(0, 6)).toEqual([
    'example.com wants you to sign in with your Ethereum account:',
    whole.address,
    '',
    whole.statement,
    '',
    'URI: https://example.com/login',
  ]);
  expect(readSignInMessage(text)).toEqual(whole);
});

it('reads messages without the fields that may be absent', () => {
  const { domain, address, uri, chain, nonce, issuedAt } = whole;
  const least = { domain, address, uri, chain, nonce, issuedAt };
  expect(writeSignInMessage(least).split('\n')[3]).toBe('');
  expect(readSignInMessage(writeSignInMessage(least))).toEqual(least);
  for (const host of ['127.0.0.1:8080', '[::1]:3000', 'a.b.example.com'])
    expect(readSignInMessage(writeSignInMessage({ ...least, domain: host })).domain).toBe(host);
});

it('refuses a message that lacks a line, has one twice, or has two in another order', () => {
  // lines that may be absent
  const optional = new Set(lines.filter((line) => /^(I accept|Expiration|Not Before|Request ID|- )/.test(line)));
  for (const [n, line] of lines.entries()) {
    if (!optional.has(line))
      expect(() => readSignInMessage(lines.toSpliced(n, 1).join('\n')), line).toThrow(/^message: line \d+: /);
    if (!line.startsWith('- '))
      expect(() => readSignInMessage(lines.toSpliced(n, 0, line).join('\n')), line).toThrow(/^message: line \d+: /);
    const next = lines[n + 1];
    if (next === undefined || (line.startsWith('- ') && next.startsWith('- '))) continue;
    expect(() => readSignInMessage(lines.toSpliced(n, 2, next, line).join('\n')), line).toThrow(/^message: line \d+: /);
  }
});

it('refuses values of another form, and names the line', () => {
  const wrong: [line: number, from: string, to: string][] = [
    [1, 'example.com wants', ' wants'],
    [1, 'example.com wants', 'user@example.com wants'],
    [1, 'example.com wants', 'https://example.com wants'],
    [2, whole.address, whole.address.toLowerCase()],
    [2, whole.address, `${whole.address}0`],
    [4, 'I accept', 'I\taccept'],
    [5, 'I accept', 'I\naccept'],
    [6, 'https://example.com/login', 'login'],
    [6, 'https://example.com/login', 'https://example.com/a b'],
    [7, 'Version: 1', 'Version: 2'],
    [8, 'Chain ID: 1', 'Chain ID: 0'],
    [8, 'Chain ID: 1', 'Chain ID: 1e3'],
    [9, '32891756', '3289175'],
    [9, '32891756', '3289175_'],
    [10, '2021-09-30T16:25:24Z', 'Wed Oct 05 2011 16:48:00 GMT+0200 (CEST)'],
    [10, '2021-09-30T16:25:24Z', '2021-13-30T16:25:24Z'],
    [11, '2100-01-01T00:00:00.5+02:00', '2100-01-01'],
    [14, 'Resources:', 'Resources: '],
    [15, '- ipfs', '* ipfs'],
    [16, '- https', '-https'],
    [17, '-claim.json', '-claim.json\n'],
  ];
  for (const [line, from, to] of wrong) {
    const changed = text.replace(from, to);
    expect(changed).not.toBe(text);
    expect(() => readSignInMessage(changed), to).toThrow(new RegExp(`^message: line ${line}: `));
  }
  expect(() => readSignInMessage('\n'.repeat(8000))).toThrow(/^message: line 1: /);
});

it('gives an address the case of EIP-55', () => {
  // the examples of the standard
  const examples = [
    '0x52908400098527886E0F7030069857D2E4169EE7',
    '0xde709f2102306220921060314715629080e2fb77',
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
    '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
    '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
  ];
  for (const address of examples) expect(checksummed(address.toLowerCase())).toBe(address);
});

it('finds the signer of a text that a wallet of another maker signed', () => {
  // the example of web3.eth.accounts.sign, whose key is published
  const signature =
    '0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c';
  expect(signerOf('Some data', signature)).toBe('0x2c7536E3605D9C16a7a3D7b1898e529396a65c23');
  expect(signerOf('Some data!', signature)).not.toBe('0x2c7536E3605D9C16a7a3D7b1898e529396a65c23');
});
