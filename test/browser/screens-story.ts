/**
 * The users and messages of the pictures: the week of a small team that publishes a walking guide. The lines of an import
 * (docs/export.md), because only imported messages have times of their own.
 */
import { createHash } from 'node:crypto';

/** By their ids, from which the page takes their colours. */
export const cast = {
  ann: 'Ann Lindqvist',
  'ben.carter': 'Ben Carter',
  'mira.okafor': 'Mira Okafor',
  'tomas.r': 'Tomás Rivera',
  'yuki.tanaka': 'Yuki Tanaka',
  priya: 'Priya Nair',
} as const;
export type Who = keyof typeof cast;
const all = Object.keys(cast) as Who[];

/** How many minutes ago who said what, and which message of the room it answers. */
type Said = readonly [minutesAgo: number, who: Who, text: string, answers?: number];

interface Room {
  readonly id: string;
  readonly kind: 'channel' | 'group' | 'direct';
  readonly name: string | null;
  readonly members: readonly Who[];
  readonly owner?: Who;
  /** The number of messages that are new to Ann. */
  readonly unread?: number;
  readonly said: readonly Said[];
}

const day = 24 * 60;

export const guide: Room = {
  id: 'autumn-guide',
  kind: 'channel',
  name: 'autumn guide',
  members: all,
  owner: 'ann',
  said: [
    [
      day + 210,
      'mira.okafor',
      'The text of walk 7 is back from the proofreader. Two open questions, both about the ferry.',
    ],
    [day + 204, 'tomas.r', 'I was there on Sunday. The ferry runs until 31 October, every half hour, and takes dogs.'],
    [day + 203, 'mira.okafor', 'Perfect, that answers both of them.', 2],
    [day + 190, 'ann', 'Then walk 7 is done? That leaves the map of walk 9 and the cover.'],
    [102, 'yuki.tanaka', 'The map is at the printer for a test print: https://maps.example.org/walk-9'],
    [95, 'ben.carter', 'Saw it. The contour lines are far better than last year, you can read them in the rain.'],
    [93, 'ann', 'Lovely work, Yuki. Could we make the ferry stop a little larger, though?', 5],
    [91, 'yuki.tanaka', 'Sure, in ten minutes.'],
    [64, 'tomas.r', 'For the cover, I vote for the herons.'],
    [63, 'priya', 'Herons.'],
    [58, 'mira.okafor', 'Herons! And the orange for the title.'],
    [57, 'priya', 'The ones from the ridge are at full size in the shared folder.', 9],
    [55, 'yuki.tanaka', 'I would crop them a little, so that the lake is on the left third.', 9],
    [50, 'ann', 'Please do. The title needs the sky above them.', 9],
    [41, 'ann', 'So it is settled. Thank you all, we are three days early.'],
    [40, 'ben.carter', '🎉'],
  ],
};

const rooms: readonly Room[] = [
  guide,
  {
    id: 'general',
    kind: 'channel',
    name: 'general',
    members: all,
    owner: 'ann',
    unread: 2,
    said: [
      [day + 400, 'ben.carter', 'The office is closed on Monday, the floor is being sanded.'],
      [6, 'priya', 'I have the ferry timetable for the noticeboard, if anybody needs it.'],
    ],
  },
  {
    id: 'photos',
    kind: 'channel',
    name: 'photos',
    members: all,
    owner: 'yuki.tanaka',
    said: [
      [3 * day + 80, 'yuki.tanaka', 'Forty pictures from the ridge are in the shared folder, sorted by stage.'],
      [3 * day + 20, 'priya', 'The one with the two herons has to be the cover.'],
    ],
  },
  {
    id: 'supper',
    kind: 'group',
    name: 'Friday supper',
    members: ['ann', 'ben.carter', 'priya'],
    owner: 'priya',
    said: [
      [day + 95, 'priya', 'The place by the harbour has a table for three at seven.'],
      [day + 90, 'ann', 'Take it!'],
    ],
  },
  {
    id: directId('ann', 'mira.okafor'),
    kind: 'direct',
    name: null,
    members: ['ann', 'mira.okafor'],
    unread: 1,
    said: [
      [150, 'mira.okafor', 'Do you have a minute about the print run?'],
      [148, 'ann', 'After lunch, I will call you.'],
      [22, 'mira.okafor', 'Great. The printer asks for 4,000 or 5,000.'],
    ],
  },
  {
    id: 'spring-guide',
    kind: 'channel',
    name: 'spring guide',
    members: ['ann', 'mira.okafor'],
    owner: 'ann',
    said: [[61 * day, 'ann', 'Sold out! On to the next one.']],
  },
];

/** As the server names the room of two. */
function directId(a: Who, b: Who): string {
  const pair = [a, b].sort().join('\n');
  return `direct:${createHash('sha256').update(pair).digest('base64url').slice(0, 32)}`;
}

/** The lines of the import. @param now in ms */
export function story(now: number): string {
  const lines: object[] = [{ type: 'export', format: 1, at: now, since: null }];
  for (const room of rooms) lines.push(...linesOf(room, now));
  const messages = rooms.reduce((sum, { said }) => sum + said.length, 0);
  lines.push({ type: 'end', rooms: rooms.length, messages });
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

function linesOf({ id, kind, name, members, owner, unread = 0, said }: Room, now: number): object[] {
  const seq = said.length;
  const createdAt = now - 90 * day * 60_000;
  return [
    {
      type: 'room',
      id,
      kind,
      name,
      createdBy: owner ?? members[0],
      createdAt,
      first: 1,
      seq,
      rev: seq,
      retentionDays: null,
    },
    ...members.map((who) => ({ type: 'user', id: who, name: cast[who] })),
    ...said.map(([minutesAgo, from, text, replyTo], at) => ({
      type: 'message',
      seq: at + 1,
      rev: at + 1,
      id: crypto.randomUUID(),
      from,
      body: { text },
      ...(replyTo !== undefined && { replyTo }),
      at: now - minutesAgo * 60_000,
    })),
    ...members.map((who) => {
      const read = who === 'ann' ? seq - unread : seq;
      const role = who === owner ? 'owner' : 'member';
      return { type: 'member', user: who, name: cast[who], role, read, delivered: seq, joinedAt: createdAt };
    }),
    { type: 'room:end', id, messages: seq, versions: 0, reactions: 0, members: members.length },
  ];
}
