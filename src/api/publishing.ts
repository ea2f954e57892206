/**
 * Messages of back ends, many in one request. They wait in the stripes of the writer beside the messages of connections, so
 * that one commit stores both. Each message has its own outcome, and the messages of one room keep their order.
 */
import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { ParleyError } from '../protocol/errors.ts';
import { outcomeError, RestError, type OutcomeError } from '../protocol/rest-errors.ts';
import type { publishRoutes } from '../protocol/routes/publish.ts';
import type { Bodies } from '../messages/bodies/bodies.ts';
import type { MessageFile } from '../protocol/body.ts';
import type { MessageFiles } from '../uploads/message-files.ts';
import type { Send } from '../messages/writer/append.ts';
import type { Sent, Writer } from '../messages/writer/writer.ts';
import type { UserRates } from '../rates/user-rates.ts';
import type { ReadMarks } from '../receipts/read-marks.ts';
import type { KnownUsers } from '../rooms/known-users.ts';
import type { Caller } from '../sessions/caller.ts';
import { clientError } from '../storage/failure.ts';
import type { KeyRights } from './identity.ts';

export interface PublishingParts {
  readonly writer: Pick<Writer, 'send' | 'sendTogether'>;
  readonly bodies: Pick<Bodies, 'read'>;
  /** @throws {ParleyError} `invalid` if the server takes no uploads */
  readonly files: () => Pick<MessageFiles, 'claim' | 'failed'>;
  readonly knownUsers: Pick<KnownUsers, 'nameOf'>;
  readonly readMarks: Pick<ReadMarks, 'sent'>;
  readonly rates: { readonly sends: Pick<UserRates['sends'], 'spend'> };
}

type Input = z.output<(typeof publishRoutes)['publish']['input']>;
type Message = Input['messages'][number];
export type Published = (Sent & { readonly id: string }) | { readonly error: OutcomeError };

type Key = Pick<KeyRights, 'id' | 'mayUseRoom'>;

/** The one who publishes. With a `caller` the messages are of that user, by the rights of that user. */
export type Publisher =
  { readonly caller: Caller; readonly key?: Key } | { readonly caller?: undefined; readonly key: Key };

/** A message that is ready for the writer, or its refusal. */
type Prepared = (Send & { readonly files?: readonly MessageFile[] }) | ParleyError;

export class Publishing {
  readonly #parts: PublishingParts;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
  }

  /** @param ids an id for each message that has none @throws {ParleyError} for failures of all messages */
  async publish(
    publisher: Publisher,
    { messages, atomic }: Input,
    ids: () => string = randomUUID,
  ): Promise<Published[]> {
    const prepared = messages.map((message) => this.#prepare(publisher, message, message.id ?? ids()));
    const { caller } = publisher;
    const ready = caller === undefined ? await this.#named(prepared, messages) : await this.#paced(prepared, caller);
    const sends = await this.#claimed(ready);
    const answers = atomic ? await this.#together(sends) : await this.#each(sends);
    await this.#release(sends, answers);
    return answers.map((answer, i) => {
      if (answer instanceof Error) return { error: outcomeError(known(answer)) };
      const { id, room, sender } = sends[i] as Send;
      // a user that sends has read the messages before
      this.#parts.readMarks.sent(sender, room, answer.seq);
      return { id, ...answer };
    });
  }

  #prepare(publisher: Publisher, { room, sender, body, replyTo, lane }: Message, id: string): Prepared {
    try {
      const { from, name, key } = senderOf(publisher, sender, room);
      const { json, mentions, files } = this.#parts.bodies.read(body);
      const send = { room, id, sender: from, senderName: name, body: json, replyTo, lane, mentions, publisher: key };
      return files === undefined ? send : { ...send, files };
    } catch (error) {
      if (error instanceof ParleyError) return error;
      throw error;
    }
  }

  /** Senders of a key may be new. Each gets the name that is stored, as in a later page of history. */
  #named(prepared: readonly Prepared[], messages: readonly Message[]): Promise<Prepared[]> {
    const { knownUsers } = this.#parts;
    return Promise.all(
      prepared.map(async (one, i) => {
        if (one instanceof ParleyError) return one;
        return { ...one, senderName: await knownUsers.nameOf(one.sender, messages[i]?.senderName) };
      }),
    );
  }

  /** Each message of a user counts in the rate of that user's messages. */
  #paced(prepared: readonly Prepared[], caller: Caller): Promise<Prepared[]> {
    return Promise.all(
      prepared.map(async (one) => {
        if (one instanceof ParleyError) return one;
        try {
          await this.#parts.rates.sends.spend(caller.user.id, caller.tier);
          return one;
        } catch (error) {
          return known(error);
        }
      }),
    );
  }

  /** The files of messages are claimed before the messages enter their stripes. */
  async #claimed(sends: readonly Prepared[]): Promise<readonly Prepared[]> {
    if (!sends.some((send) => !(send instanceof ParleyError) && send.files !== undefined)) return sends;
    const claimed: Prepared[] = [];
    for (const send of sends) {
      if (send instanceof ParleyError || send.files === undefined) {
        claimed.push(send);
        continue;
      }
      const { sender, room, id: message, files } = send;
      try {
        await this.#parts.files().claim(sender, { room, message }, files);
        claimed.push(send);
      } catch (error) {
        claimed.push(known(error));
      }
    }
    return claimed;
  }

  async #release(sends: readonly Prepared[], answers: readonly (Sent | Error)[]): Promise<void> {
    for (const [i, send] of sends.entries()) {
      const answer = answers[i];
      if (send instanceof ParleyError || send.files === undefined || !(answer instanceof Error)) continue;
      await this.#parts.files().failed({ room: send.room, message: send.id }, send.files, answer);
    }
  }

  /** All messages enter their stripes in this turn, in their order. */
  async #each(sends: readonly Prepared[]): Promise<(Sent | Error)[]> {
    const outcomes = await Promise.allSettled(
      sends.map((send) => (send instanceof ParleyError ? Promise.reject(send) : this.#parts.writer.send(send))),
    );
    return outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : known(outcome.reason)));
  }

  async #together(sends: readonly Prepared[]): Promise<(Sent | Error)[]> {
    const valid = sends.filter((send): send is Send => !(send instanceof ParleyError));
    if (valid.length === sends.length) return this.#parts.writer.sendTogether(valid, undone);
    return sends.map((send) => (send instanceof ParleyError ? send : undone()));
  }
}

/** @throws {ParleyError} `forbidden`, or `invalid` without a sender */
function senderOf(
  { caller, key }: Publisher,
  sender: string | undefined,
  room: string,
): { from: string; name: string | null; key?: string } {
  if (key?.mayUseRoom(room) === false) {
    throw new ParleyError('forbidden', `The API key may not use the room ${room}.`);
  }
  if (caller !== undefined) {
    const { id, name } = caller.user;
    if (sender === undefined || sender === id) return { from: id, name };
    throw new ParleyError('forbidden', 'sender: a user publishes messages of that user alone.');
  }
  if (sender === undefined) throw new ParleyError('invalid', 'sender: an API key has to name the sender.');
  return { from: sender, name: null, key: key.id };
}

const undone = (): ParleyError => new RestError('not_stored');

/** The error for the client. @throws the error, if it is a fault */
function known(thrown: unknown): ParleyError {
  const error = clientError(thrown);
  if (error instanceof ParleyError) return error;
  throw error;
}
