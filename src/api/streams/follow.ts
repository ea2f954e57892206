/** `GET /rooms/{room}/messages` with `follow=true`: the history of a room, and then its events, as lines of JSON. */
import { z } from 'zod';
import type { Commands } from '../../commands/dispatcher.ts';
import { pullCommands } from '../../protocol/commands/reads.ts';
import { rev } from '../../protocol/model.ts';
import { InputError, type InputFault } from '../../protocol/rest-errors.ts';
import { streamLine } from '../../protocol/stream-lines.ts';
import { callerOf, requireRooms, type ActingParts } from '../identity.ts';
import { Reply, type ApiRequest, type Operation } from '../operation.ts';
import { StreamReads } from './stream-reads.ts';
import type { Streams } from './streams.ts';

export interface FollowParts extends ActingParts {
  readonly commands: Pick<Commands, 'call'>;
  readonly streams: Streams;
}

const about =
  ' With `follow=true` the answer is a stream (`application/x-ndjson`), one JSON object a line. The messages after `after` come ' +
  'first, or none without it, and then each change as it happens. The last line says where to resume.';

const input = pullCommands.history.input.safeExtend({
  follow: z.boolean().optional().describe('whether the answer is a stream that goes on with the events of the room'),
  rev: rev
    .optional()
    .describe(
      'with `follow`: begin with the changes after this rev, and with `after` as the last message that you have',
    ),
});
type FollowInput = z.output<typeof input>;

const lineType = 'application/x-ndjson';
/** Messages of one read. `limit` is about pages, and does not change a stream. */
const readLimit = 100;

const headers = {
  'Content-Type': lineType,
  'Cache-Control': 'no-store',
  // nginx would keep the lines until its buffer is full
  'X-Accel-Buffering': 'no',
};

/** The operation of the page, which answers with a stream where the request wants one. */
export function followOperation(page: Operation, parts: FollowParts): Operation {
  return {
    ...page,
    about: page.about + about,
    input,
    errors: [...page.errors, 'limit_reached'],
    lines: { type: lineType, line: streamLine },
    run: (request) => {
      const wanted = request.input as FollowInput;
      const { follow, rev: from } = wanted;
      if (follow === true) return stream(page, request, wanted, parts);
      if (from !== undefined) throw wrong('rev', 'the parameter needs follow=true');
      return page.run(request);
    },
  };
}

async function stream(
  { scope, route }: Operation,
  { identity, chooses }: ApiRequest,
  { room, before, after, rev: from, epoch }: FollowInput,
  parts: FollowParts,
): Promise<Reply> {
  if (before !== undefined) throw wrong('before', 'a stream goes forward, from after');
  if (chooses) throw wrong('fields', 'a stream has whole messages');
  requireRooms(identity, scope, [room]);
  const caller = await callerOf(identity, route, [room], parts);
  const reads = new StreamReads(parts.commands, { caller, room, limit: readLimit }, epoch);
  const body = await parts.streams.open({ identity, user: caller.user.id, room, reads, after, rev: from });
  return new Reply(body, { headers });
}

function wrong(name: string, message: string): InputError {
  const fault: InputFault = { pointer: `/${name}`, in: 'query', message };
  return new InputError([fault]);
}
