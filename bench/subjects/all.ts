/** All subjects, in the order of the tables. Parley comes first: the others are compared with it. */
import { nats } from './nats.ts';
import { nchan } from './nchan.ts';
import { bareUws, bareWs, socketioOnUws, socketioOnWs } from './node-peers.ts';
import { parley, parleyOnThreeNodes } from './parley.ts';
import type { Subject } from './subject.ts';

export const subjects: readonly Subject[] = [
  parley,
  parleyOnThreeNodes,
  socketioOnWs,
  socketioOnUws,
  bareUws,
  bareWs,
  nchan,
  nats,
];
