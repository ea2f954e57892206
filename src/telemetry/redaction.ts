/** Hides the secrets of API keys and tokens, in the fields and in the texts of a log line. */

/** Fields whose values are secrets. */
const names = ['authorization', 'Authorization', 'secret', 'token'];
export const secretFields = names.flatMap((name) => [name, `*.${name}`, `*.headers.${name}`]);

export const hidden = '[hidden]';

/** The id of a key stays, so that an operator knows which key was shown. */
const keySecret = /\bpk_([a-z0-9]{12})_[0-9A-Za-z]+/g;

/** For texts that come from other places: a message of an error, a path, a header under another name. */
export function withoutKeySecrets(line: string): string {
  return line.includes('pk_') ? line.replace(keySecret, `pk_$1_${hidden}`) : line;
}
