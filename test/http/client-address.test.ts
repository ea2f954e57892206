import { describe, expect, it } from 'vitest';
import { ClientAddress, networkOf } from '../../src/http/client-address.ts';

const of = (trusted: string[], peer: string, forwardedFor = '', proxied = ''): string =>
  new ClientAddress(trusted).of(peer, forwardedFor, proxied);

describe('the address of a client', () => {
  it('is the peer itself where no proxy is trusted, whatever the header says', () => {
    expect(of([], '203.0.113.9', '198.51.100.1')).toBe('203.0.113.9');
    expect(of([], '203.0.113.9', '', '198.51.100.1')).toBe('203.0.113.9');
  });

  it('is the peer itself when the peer is no trusted proxy', () => {
    expect(of(['10.0.0.0/8'], '203.0.113.9', '198.51.100.1')).toBe('203.0.113.9');
  });

  it('is the last address of the header that is no trusted proxy', () => {
    expect(of(['10.0.0.0/8'], '10.1.2.3', '198.51.100.1')).toBe('198.51.100.1');
    expect(of(['10.0.0.0/8'], '10.1.2.3', '198.51.100.1, 10.9.9.9')).toBe('198.51.100.1');
  });

  it('is not what a client wrote into the header itself', () => {
    expect(of(['10.0.0.0/8'], '10.1.2.3', '1.2.3.4, 198.51.100.1')).toBe('198.51.100.1');
    expect(of(['10.0.0.0/8'], '10.1.2.3', '10.0.0.7, 198.51.100.1, 10.9.9.9')).toBe('198.51.100.1');
  });

  it('is the peer when the header holds no address', () => {
    for (const header of [
      '',
      ' ',
      'unknown',
      'fe80::1%eth0',
      '[]',
      '[::1',
      'localhost',
      '1.2.3',
      '999.1.1.1',
      '198.51.100.1, nonsense',
      ',',
    ]) {
      expect(of(['10.0.0.0/8'], '10.1.2.3', header)).toBe('10.1.2.3');
    }
  });

  it('is the same one however an IPv4 address is written', () => {
    const mapped = '0000:0000:0000:0000:0000:ffff:0a01:0203';
    expect(of([], mapped)).toBe('10.1.2.3');
    expect(of([], '::ffff:10.1.2.3')).toBe('10.1.2.3');
    expect(of([], '::FFFF:a01:203')).toBe('10.1.2.3');
    expect(of(['10.0.0.0/8'], mapped, '::ffff:198.51.100.1')).toBe('198.51.100.1');
    expect(of(['10.0.0.0/8'], '10.1.2.3', '198.51.100.1:4711')).toBe('198.51.100.1');
  });

  it('may be of IPv6, in one form however it is written', () => {
    const written = '2001:0db8:0000:0000:0000:0000:0000:0001';
    expect(of([], written)).toBe(of([], '2001:db8::1'));
    expect(of(['2001:db8:ffff::/48'], '2001:db8:ffff::5', '2001:db8::1')).toBe('2001:db8::1');
    expect(of(['2001:db8:ffff::/48'], '2001:db8:ffff::5', '[2001:db8::1]:4711')).toBe('2001:db8::1');
    expect(of(['2001:db8:ffff::/48'], '2001:db8:fffe::5', '2001:db8::1')).toBe('2001:db8:fffe::5');
    expect(of(['::1'], '0000:0000:0000:0000:0000:0000:0000:0001', '198.51.100.1')).toBe('198.51.100.1');
  });

  it('may come by the PROXY protocol, and then stands nearer than the header', () => {
    expect(of(['10.0.0.0/8'], '10.1.2.3', '', '198.51.100.1')).toBe('198.51.100.1');
    expect(of(['10.0.0.0/8'], '10.1.2.3', '1.2.3.4', '198.51.100.1')).toBe('198.51.100.1');
    expect(of(['10.0.0.0/8'], '10.1.2.3', '198.51.100.1', '10.5.5.5')).toBe('198.51.100.1');
  });

  it('may be behind a single address as well as a range, and a bad entry is named', () => {
    expect(of(['10.1.2.3'], '10.1.2.3', '198.51.100.1')).toBe('198.51.100.1');
    expect(of(['10.1.2.3'], '10.1.2.4', '198.51.100.1')).toBe('10.1.2.4');
    for (const bad of ['nonsense', '10.0.0.0/33', '::/129', '10.0.0.0/-1', '10.0.0.0/1.5', '10.0.0.0/x', '']) {
      expect(() => new ClientAddress([bad])).toThrow(RangeError);
    }
  });
});

describe('the network of an address', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['', ''],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['2001::3:4:5:6:7', '2001:0:0:3'],
    ['::2:3:4:5:6:7:8', '0:2:3:4'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['::1.2.3.4', '0:0:0:0'],
  ])('of %j is %j', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
