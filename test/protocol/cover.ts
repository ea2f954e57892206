import { describe, expect, it } from 'vitest';
import { protocolCases, type CaseArea, type CaseOf } from '../../src/protocol/cases.ts';
import type { Kind } from './peer.ts';

/** Tests of one area: each case of the table has one, and nothing else is here. */
export function cover<A extends CaseArea>(area: A, tests: Readonly<Record<CaseOf<A>, () => Promise<void>>>): void {
  describe(area, () => {
    complete(area, tests);
    for (const [name, answer] of casesOf(area)) it(`${name} → ${answer}`, tests[name]);
  });
}

/** The same for each kind of client. */
export function coverFor<A extends CaseArea>(
  area: A,
  kinds: readonly Kind[],
  tests: Readonly<Record<CaseOf<A>, (kind: Kind) => Promise<void>>>,
): void {
  describe.each(kinds)(`${area}: $form over $transport`, (kind) => {
    complete(area, tests);
    for (const [name, answer] of casesOf(area)) it(`${name} → ${answer}`, () => tests[name](kind));
  });
}

function casesOf<A extends CaseArea>(area: A): [CaseOf<A>, string][] {
  return Object.entries(protocolCases[area]) as [CaseOf<A>, string][];
}

/** The types say so already, but the test runner does not read them. */
function complete(area: CaseArea, tests: object): void {
  it('has a test for each case of the table, and no other', () => {
    expect(new Set(Object.keys(tests))).toEqual(new Set(Object.keys(protocolCases[area])));
  });
}
