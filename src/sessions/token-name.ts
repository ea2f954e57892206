/** The display name in a token. */
import { cleanDisplayText } from '../protocol/display-text.ts';
import { limits } from '../protocol/limits.ts';

/**
 * A name that is too long is cut between two letters as readers see them, and loses what no name may have. A name of which
 * nothing is left is as good as none.
 */
export function nameOf(claim: unknown): { readonly name: string | null; readonly shortened: boolean } {
  if (typeof claim !== 'string') return { name: null, shortened: false };
  const clean = cleanDisplayText(claim, limits.userNameLength);
  return { name: clean?.text ?? null, shortened: clean?.shortened ?? false };
}
