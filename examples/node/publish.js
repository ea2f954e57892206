/** Publishes a batch of messages that is safe to repeat, and follows the room until the batch has come. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

const api = `${process.env.PARLEY_URL ?? 'http://localhost:3000'}/api/v1`;
const room = process.env.PARLEY_ROOM ?? 'orders';
const headers = { authorization: `Bearer ${process.env.PARLEY_KEY}`, 'content-type': 'application/json' };

/** Sends the request again while the server says that a retry may succeed. */
async function request(method, path, body) {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(`${api}${path}`, { method, headers, body: JSON.stringify(body) });
    const answer = await response.json();
    if (response.ok) return answer;
    if (!answer.retryable || attempt === 5) throw new Error(`${answer.code}: ${answer.detail}`);
    await delay(answer.retryAfter ?? 500 * attempt);
  }
}

// The UUIDs are made once, so that a repeated request stores each message once.
const messages = ['packed', 'sent', 'delivered'].map((state) => ({
  room,
  id: randomUUID(),
  sender: 'shop',
  body: { text: `Order 17 is ${state}`, state },
}));
const { results } = await request('POST', '/publish', { messages });
const numbers = results.map(({ seq, error }) => {
  if (error !== undefined) throw new Error(`${error.code}: ${error.message}`);
  return seq;
});
console.log('stored', numbers.join(' '));

const stream = await fetch(`${api}/rooms/${room}/messages?after=${numbers[0] - 1}&follow=true`, { headers });
let rest = '';
for await (const text of stream.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    const { type, message } = JSON.parse(line);
    if (type === 'message') console.log('read', message.seq, message.body.text);
    if (type === 'message' && message.seq === numbers.at(-1)) process.exit();
  }
}
