/** The display name in a token. */
import { userName } from '../protocol/model.ts';

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** A name that is too long is cut between two letters as readers see them. What is no name is as good as none. */
export function nameOf(claim: unknown): { readonly name: string | null; readonly shortened: boolean } {
  const whole = userName.safeParse(claim);
  if (whole.success) return { name: whole.data, shortened: false };
  const tooLong = whole.error.issues.every(({ code }) => code === 'too_big');
  if (typeof claim !== 'string' || !tooLong) return { name: null, shortened: false };
  let kept = '';
  let name: string | null = null;
  for (const { segment } of graphemes.segment(claim.trim())) {
    kept += segment;
    const cut = userName.safeParse(`${kept.trimEnd()}…`);
    if (!cut.success) break;
    name = cut.data;
  }
  return { name, shortened: true };
}
