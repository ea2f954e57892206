/** 100 connections that send at once, over the port: their events must be dense and in order. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { Message } from '../../../src/protocol/model.ts';
import { connectRaw, type RawClient } from '../../support/raw-client.ts';
import { until } from '../../support/until.ts';

export const manySendersEnv = {
  PARLEY_COMMANDS_PER_SECOND: '1000000',
  PARLEY_COMMAND_BURST: '1000000',
  PARLEY_MAX_PENDING_COMMANDS: '100000',
};

const senders = 100;

interface Ack {
  ok: boolean;
  seq?: number;
  error?: unknown;
}

/** The acks in the order in which they came, with the number of the command that each answers. */
function acksOf(client: RawClient): { command: number; ack: Ack }[] {
  return client.frames
    .filter((frame) => frame.startsWith('43'))
    .map((frame) => {
      const at = frame.indexOf('[');
      return { command: Number(frame.slice(2, at)), ack: (JSON.parse(frame.slice(at)) as [Ack])[0] };
    });
}

async function commands(client: RawClient, list: readonly (readonly [string, object])[]): Promise<Ack[]> {
  client.frames.length = 0;
  client.send(...list.map(([name, input], n) => `42${n}${JSON.stringify([name, input])}`));
  const done = await until(
    'all commands are answered',
    () => {
      const acks = acksOf(client);
      return acks.length === list.length ? acks : undefined;
    },
    60_000,
  );
  client.frames.length = 0;
  const answers: Ack[] = [];
  for (const { command, ack } of done) answers[command] = ack;
  return answers;
}

async function connectAll(url: string, tokenOf: (user: string) => Promise<string>): Promise<RawClient[]> {
  return Promise.all(Array.from({ length: senders }, async (_, n) => connectRaw(url, await tokenOf(`s${n}`))));
}

function sendTo(room: string, body: unknown): readonly [string, object] {
  return ['message:send', { room, id: randomUUID(), body }];
}

/**
 * Each client sends its list at once. For every client and room, acks come in the order of the sends, with rising seqs. Over
 * all clients the seqs of a room are 1…n, each once.
 */
async function sendAll(clients: readonly RawClient[], rooms: readonly (readonly string[])[]): Promise<void> {
  for (const client of clients) client.frames.length = 0;
  clients.forEach((client, c) =>
    client.send(...(rooms[c] ?? []).map((room, n) => `42${n}${JSON.stringify(sendTo(room, [c, n]))}`)),
  );
  const taken = new Map<string, Set<number>>();
  for (const [c, client] of clients.entries()) {
    const list = rooms[c] ?? [];
    const acks = await until(
      'all sends are answered',
      () => {
        const found = acksOf(client);
        return found.length === list.length ? found : undefined;
      },
      60_000,
    );
    const last = new Map<string, { command: number; seq: number }>();
    for (const { command, ack } of acks) {
      const room = list[command] ?? '';
      const seq = ack.seq ?? 0;
      expect(ack).toMatchObject({ ok: true });
      const before = last.get(room) ?? { command: -1, seq: 0 };
      expect(command).toBeGreaterThan(before.command);
      expect(seq).toBeGreaterThan(before.seq);
      last.set(room, { command, seq });
      const seqs = taken.get(room) ?? new Set();
      expect(seqs.has(seq)).toBe(false);
      taken.set(room, seqs.add(seq));
    }
  }
  for (const seqs of taken.values()) expect(Math.max(...seqs)).toBe(seqs.size);
}

export async function intoOneRoom(
  url: string,
  tokenOf: (user: string) => Promise<string>,
  messages: number,
): Promise<void> {
  const clients = await connectAll(url, tokenOf);
  const [first] = clients as [RawClient];
  await commands(first, [['room:create', { kind: 'channel', name: 'One', id: 'one' }]]);
  for (const client of clients.slice(1)) await commands(client, [['room:join', { room: 'one' }]]);
  await sendAll(
    clients,
    clients.map(() => Array.from({ length: messages }, () => 'one')),
  );
  const all = senders * messages;
  // every connection got everything, once and in order; the frames of the acks are still among them
  for (const client of clients) {
    const received = await until(
      'every event has arrived',
      () => {
        const found = client.frames.filter((frame) => frame.startsWith('42["message"'));
        return found.length >= all ? found : undefined;
      },
      30_000,
    );
    const revs = received.map((frame) => (JSON.parse(frame.slice(2)) as [string, Message])[1].rev);
    expect(revs).toEqual(Array.from({ length: all }, (_, n) => n + 1));
  }
  await Promise.all(clients.map((client) => client.close()));
}

/** Each client owns rooms and is in those of its neighbour, so two send into each room. */
export async function intoManyRooms(
  url: string,
  tokenOf: (user: string) => Promise<string>,
  messages: number,
): Promise<void> {
  const clients = await connectAll(url, tokenOf);
  const owned = clients.map((_, c) => Array.from({ length: 10 }, (__, n) => `room-${c}-${n}`));
  await Promise.all(
    clients.map((client, c) =>
      commands(
        client,
        (owned[c] ?? []).map((id) => ['room:create', { kind: 'channel', name: id, id }]),
      ),
    ),
  );
  const both = clients.map((_, c) => [...(owned[c] ?? []), ...(owned[(c + 1) % senders] ?? [])]);
  await Promise.all(
    clients.map((client, c) =>
      commands(
        client,
        (owned[(c + 1) % senders] ?? []).map((room) => ['room:join', { room }]),
      ),
    ),
  );
  await sendAll(
    clients,
    both.map((rooms) => Array.from({ length: messages }, () => rooms).flat()),
  );
  await Promise.all(clients.map((client) => client.close()));
}
