/** The routes of back ends that publish messages and signals. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Commands } from '../../commands/dispatcher.ts';
import type { Fanout } from '../../fanout/fanout.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { publishRoutes } from '../../protocol/routes/publish.ts';
import type { Identity } from '../identity.ts';
import type { ApiRequest, RouteHandlers } from '../operation.ts';
import { Publishing, type Publisher, type PublishingParts } from '../publishing.ts';
import { sendSignals } from '../signalling.ts';

export interface PublishParts extends PublishingParts {
  readonly commands: Pick<Commands, 'attend'>;
  readonly fanout: Pick<Fanout, 'publish'>;
}

const uuid = z.uuid().toLowerCase();

export function publishHandlers(parts: PublishParts): RouteHandlers<typeof publishRoutes> {
  const { commands, fanout, knownUsers } = parts;
  const publishing = new Publishing(parts);
  return {
    publish: (request) =>
      commands.attend({ reads: false, stores: true }, async () => {
        const publisher = await publisherOf(request.identity, knownUsers);
        return { results: await publishing.publish(publisher, request.input, idsOf(request)) };
      }),
    signals: ({ identity, input }) =>
      commands.attend({ reads: false, stores: false }, async () => {
        if (identity.kind !== 'key') throw new ParleyError('forbidden', 'An API key is needed here.');
        const { key, user: id } = identity;
        const user = id === undefined ? undefined : { id, name: await knownUsers.nameOf(id) };
        return { results: sendSignals(fanout, { key, user }, input.signals) };
      }),
  };
}

/** A key that names a user publishes as that user, by the rights of that user. */
async function publisherOf(identity: Identity, knownUsers: PublishParts['knownUsers']): Promise<Publisher> {
  if (identity.kind === 'anonymous') throw new ParleyError('unauthorized', 'A token or an API key is needed.');
  if (identity.kind === 'user') return { caller: identity.caller };
  const { key, user } = identity;
  if (user === undefined) return { key };
  const caller = {
    user: { id: user, name: await knownUsers.nameOf(user) },
    tier: null,
    backend: true,
    session: undefined,
  };
  return { caller, key };
}

/** A lone message without an id takes a UUID in `Idempotency-Key`, so that a repeated request finds it. */
function idsOf({
  header,
  input,
}: Pick<ApiRequest<{ messages: readonly unknown[] }>, 'header' | 'input'>): () => string {
  const key = uuid.safeParse(header('idempotency-key'));
  return key.success && input.messages.length === 1 ? () => key.data : randomUUID;
}
