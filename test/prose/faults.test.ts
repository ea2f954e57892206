/** The checker itself: lines that it lets pass, lines that it does not, and what of Markdown it takes for prose. */
import { describe, expect, it } from 'vitest';
import { faults } from './faults.ts';
import { sentencesOf } from './sentences.ts';

const textsOf = (text: string): string[] => sentencesOf(text).map((sentence) => sentence.text);
const words = (count: number): string => `A ${'word '.repeat(count - 2)}ends.`;

describe('faults', () => {
  it.each([
    'Could not read revocations from Postgres; retrying in 5 s. Revoked tokens may be accepted until then.',
    'The acknowledgement leaves after the commit.',
    'nginx resolves the names once.',
    '`serve` starts a node. The port is 3000 (or `PARLEY_PORT`).',
    '[docs/backup.md](docs/backup.md) has the steps.',
    'A block looks like a leave.',
    'Which client is slow? The metric shows the connection.',
    'The fall is 0.5 s, i.e. half a second.',
    'The operator may stop the node right away.',
    'The `told` column and the `version-cache.test.ts` file are names of code.',
    `A line has ${'`a`, '.repeat(30)}and \`b\`.`,
    words(25),
  ])('accepts %j', (text) => {
    expect(faults(text)).toEqual([]);
  });

  it.each([
    ['Each node is told of the removal.', 'told'],
    ['The log tells the reason.', 'tells'],
    ['A node hears only its rooms.', 'hears'],
    ['Both nodes are deaf.', 'deaf'],
    ['The last 10,000 standings stay in memory.', 'standings'],
    ['The commit is handed on.', 'handed'],
    ['Postgres is asked once.', 'asked'],
    ['A look every second finds the row.', 'look'],
    ['The look-ups take 4 ms.', 'look-ups'],
    ['The network is dearer than processors.', 'dearer'],
    ['The socket is of our own making.', 'of our own'],
    ['An old session waits for ever.', 'for ever'],
    ['Redis is away.', 'away'],
    ['Whoever may publish reaches every client.', 'Whoever'],
    ['The token is for who has it.', 'for who'],
    ['The room is loaded anew.', 'anew'],
    ['The driver is mended.', 'mended'],
    ['The tail has 100 messages.', 'tail'],
    ['it stops.', 'small letter'],
    ['The node stops. then it ends.', 'small letter'],
    ['It stops.', 'begins with "It"'],
    ['Who leaves is removed.', 'begins with "Who"'],
    ['What was stored is skipped.', 'begins with "What"'],
    ['Those who wait get an error.', 'begins with "Those"'],
    ['Of two rows the later counts.', 'begins with "Of"'],
    [words(26), '26 words'],
  ])('refuses %j', (text, rule) => {
    expect(faults(text).map((fault) => fault.rule)).toEqual(expect.arrayContaining([expect.stringContaining(rule)]));
  });

  it('names the line of a fault', () => {
    const text = '# Title\n\n```sh\nit is code\n```\n\nA good line\nof prose. Redis is\naway.\n';
    expect(faults(text)).toEqual([
      { line: 8, rule: '"away"; rather: unavailable, offline, remove', sentence: 'Redis is away.' },
    ]);
  });
});

describe('sentences', () => {
  it('leave out blocks of code, comments, images and the targets of links', () => {
    const text =
      'See [the page](docs/page.md) and `a | b`.\n\n    it is code\n\n<!-- it is a comment -->\n![told](told.png)\n';
    expect(textsOf(text)).toEqual(['See the page and CODE.']);
  });

  it('are of one cell, one item or one paragraph each', () => {
    const text = 'One paragraph\n- an item\n- another\n  with a second line\n\n| a | `b|c` |\n| - | - |\n| d | e |\n';
    expect(textsOf(text)).toEqual(['One paragraph', 'an item', 'another with a second line', 'a', 'CODE', 'd', 'e']);
  });

  it('of code end with their paragraph: a lone backtick hides nothing that follows', () => {
    expect(textsOf('A lone ` here.\n\nRedis is away.\n\nOne more ` here.')).toContain('Redis is away.');
    expect(textsOf('| `` | Redis is away. |\n| `` | One more. |')).toContain('Redis is away.');
  });

  it('end at a full stop before a space, and not inside of a name or a number', () => {
    expect(textsOf('Take `a.b`, socket.io 4.8 or e.g. 270 B. **Then** stop! (Really.) Good.')).toEqual([
      'Take CODE, socket.io 4.8 or e.g. 270 B.',
      'Then stop!',
      '(Really.)',
      'Good.',
    ]);
  });
});
