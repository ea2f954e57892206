/** Sign-in by wallet (EIP-4361). */
import { authority, list, number } from '../values.ts';
import { key } from './key.ts';

export const walletKeys = {
  walletDomains: key(
    'PARLEY_WALLET_DOMAINS',
    'Hosts of the pages on which users sign in by wallet (EIP-4361), separated by commas. Empty: that sign-in is off.',
    list(authority()),
    '',
  ),
  walletChains: key(
    'PARLEY_WALLET_CHAINS',
    'Numbers of the chains whose wallets may sign in, separated by commas. 1 is the main network of Ethereum.',
    list(number(1, 999_999_999_999)),
    '1',
  ),
} as const;
