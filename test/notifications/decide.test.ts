/** The decisions about notifications, by the table that docs/notifications.md prints. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/notifications/decide.ts';
import { notificationReasons } from '../../src/protocol/notifications.ts';
import { decisions, decisionTable, noon, usual } from './decisions.ts';

const page = fileURLToPath(new URL('../../docs/notifications.md', import.meta.url));

describe('the decision', () => {
  it.each(decisions.map((row) => [row.when, row] as const))('%s', (_when, { facts, decision }) => {
    expect(decide({ ...usual, ...facts }, noon)).toEqual(decision);
  });

  it('has a case for each reason of the list', () => {
    const reasons = new Set(decisions.flatMap(({ decision }) => ('reason' in decision ? [decision.reason] : [])));
    expect([...reasons].toSorted()).toEqual([...notificationReasons].toSorted());
  });

  it('is printed in docs/notifications.md', async () => {
    const text = readFileSync(page, 'utf8');
    const written = text.replace(
      /(<!-- decisions -->\n\n)[\s\S]*?(\n\n<!-- end of decisions -->)/,
      (_all, begin: string, end: string) => {
        return `${begin}${decisionTable()}${end}`;
      },
    );
    expect(written).toContain(decisionTable());
    await expect(written).toMatchFileSnapshot(page);
  });
});
