/** The compression of answers that a client and Parley agree on. */

export type ContentEncoding = 'br' | 'gzip';

/** Shorter answers would grow, or save less than a packet. */
export const leastCompressedBytes = 1024;

/** @param accepted the header Accept-Encoding @returns undefined: the client takes none */
export function encodingOf(accepted: string | undefined): ContentEncoding | undefined {
  if (accepted === undefined) return undefined;
  const weights = new Map(
    accepted.split(',').map((part) => {
      const [name = '', ...parameters] = part.trim().toLowerCase().split(';');
      const weight = parameters
        .map((text) => /^\s*q=([\d.]{1,5})\s*$/.exec(text)?.[1])
        .find((text) => text !== undefined);
      return [name.trim(), weight === undefined ? 1 : Number(weight)];
    }),
  );
  const weightOf = (name: string): number => weights.get(name) ?? weights.get('*') ?? 0;
  const best = weightOf('br') >= weightOf('gzip') ? 'br' : 'gzip';
  return weightOf(best) > 0 ? best : undefined;
}
