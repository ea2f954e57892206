/** Calls with checked types. `schema.d.ts` is made by the test, so that this file is compiled there alone. */
import createClient, { type Client } from 'openapi-fetch';
import type { components, paths } from './schema.d.ts';

const clientOf = (baseUrl: string, bearer: string): Client<paths> =>
  createClient<paths>({
    baseUrl,
    fetch: (request) => globalThis.fetch(request),
    headers: { authorization: `Bearer ${bearer}` },
  });

interface RoundTrip {
  readonly status: number;
  readonly seq: number | undefined;
  readonly message: Pick<components['schemas']['Message'], 'id' | 'from'> | undefined;
  readonly topic: string | undefined;
}

export async function roundTrip(baseUrl: string, token: string, room: string, id: string): Promise<RoundTrip> {
  const client = clientOf(baseUrl, token);
  const path = { room };
  const sent = await client.POST('/rooms/{room}/messages', { params: { path }, body: { id, body: { text: 'typed' } } });
  const page = await client.GET('/rooms/{room}/messages', { params: { path, query: { limit: 1 } } });
  const changed = await client.PATCH('/rooms/{room}', { params: { path }, body: { topic: 'typed' } });
  return {
    status: sent.response.status,
    seq: sent.data?.seq,
    // the other form of the answer is a stream
    message: page.data !== undefined && 'items' in page.data ? page.data.items[0] : undefined,
    topic: changed.data?.room.topic,
  };
}

export async function codeOfFailure(baseUrl: string, token: string): Promise<string | undefined> {
  const { error } = await clientOf(baseUrl, token).GET('/rooms/{room}', { params: { path: { room: 'nowhere' } } });
  // the status decides which codes there are
  const code: 'not_found' | undefined = error?.status === 404 ? error.code : undefined;
  return code;
}

export async function published(baseUrl: string, key: string, room: string): Promise<string[] | undefined> {
  const messages = [
    { room, sender: 'robot', body: 'one' },
    { room: 'nowhere', sender: 'robot', body: 'two' },
  ];
  const { data } = await clientOf(baseUrl, key).POST('/publish', { body: { messages, atomic: false } });
  return data?.results.map((result) => ('error' in result ? result.error.code : typeof result.seq));
}

/** Calls that the compiler refuses. Nothing runs them. */
export async function faults(client: Client<paths>): Promise<void> {
  const at = { params: { path: { room: 'hall' } } };
  // @ts-expect-error there is no such path
  await client.GET('/room/{room}', at);
  // @ts-expect-error the path needs the room
  await client.GET('/rooms/{room}', {});
  // @ts-expect-error the topic is a text
  await client.PATCH('/rooms/{room}', { ...at, body: { topic: 7 } });
  // @ts-expect-error the limit is a number
  await client.GET('/rooms/{room}/messages', { params: { ...at.params, query: { limit: 'many' } } });
}
