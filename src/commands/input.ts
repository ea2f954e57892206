/** Inputs of commands, checked against their schemas. */
import type { z } from 'zod';
import { ParleyError } from '../protocol/errors.ts';

/** @throws {ParleyError} `invalid` */
export function parseInput(schema: z.ZodType, input: unknown): unknown {
  let parsed;
  try {
    parsed = schema.safeParse(input);
  } catch (error) {
    // zod compares a `length` before it knows that it has a text: one that is no primitive throws in it
    throw new ParleyError('invalid', undefined, { cause: error });
  }
  if (!parsed.success) throw new ParleyError('invalid', issueText(parsed.error));
  return parsed.data;
}

/** The first fault, with where it is. */
function issueText(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'The input does not have the expected form.';
  const path = issue.path.map(String).join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}
