/** Why a stream ends: `reset` and `closed`, or a code of the catalogue of errors. */
import { errorKinds, type ErrorCode } from '../../protocol/errors.ts';

/** `closed`: the client has ended the request, and gets no last line. */
export type StreamEnd = ErrorCode | 'reset' | 'closed';

const texts: Partial<Record<StreamEnd, string>> = {
  reset: 'The place of the stream is gone: drop the messages of the room, and begin again without `rev`.',
  closed: 'The client has ended the request.',
  draining: 'The server is stopping; resume on another node.',
  slow_consumer: 'The client reads too slowly; resume.',
  session_revoked: 'The token or the API key has been revoked.',
  token_expired: 'The token or the API key has expired.',
};

export function endMessages(code: StreamEnd): string {
  return texts[code] ?? errorKinds[code as ErrorCode].message;
}
