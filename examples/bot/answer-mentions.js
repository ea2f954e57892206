/**
 * A bot that answers each message which mentions it, also the last 20 from before its start. The id of an answer follows from
 * the message, so that no message gets two answers.
 */
import { createHash } from 'node:crypto';
import { io } from 'socket.io-client';

const url = process.env.PARLEY_URL ?? 'http://localhost:3000';
const room = process.env.PARLEY_ROOM ?? 'orders';
const bot = 'helper';

async function newToken() {
  const response = await fetch(`${url}/api/v1/auth/token`, {
    method: 'POST',
    headers: { authorization: `Bearer ${process.env.PARLEY_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ user: bot, name: 'Helper', ttlSeconds: 3600 }),
  });
  const { token, detail } = await response.json();
  if (!response.ok) throw new Error(detail);
  return token;
}

// The function runs before each connect, so that a token that ended is replaced.
const socket = io(url, {
  auth: (pass) => {
    newToken().then(
      (token) => pass({ token }),
      (error) => {
        console.error(error.message);
        pass({});
      },
    );
  },
});

async function command(name, input) {
  const { ok, error, ...output } = await socket.timeout(15_000).emitWithAck(name, input);
  if (!ok) throw new Error(`${name}: ${error.code}: ${error.message}`);
  return output;
}

/** The same UUID for the same message. */
function idOfAnswer(message) {
  const hex = createHash('sha256').update(`${bot} ${message.room} ${message.seq}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

async function answer(message) {
  if (message.from === bot) return;
  const text = `You said: ${String(message.body?.text ?? '')
    .replaceAll(`@${bot}`, '')
    .trim()}`;
  await command('message:send', { room: message.room, id: idOfAnswer(message), replyTo: message.seq, body: { text } });
  console.log('answered', message.seq);
}

const fail = (error) => console.error(error.message);

async function catchUp() {
  await command('room:join', { room });
  const { mentions } = await command('mentions', { limit: 20 });
  for (const { message } of mentions.toReversed()) await answer(message);
  console.log('ready');
}

socket.on('ready', () => {
  catchUp().catch(fail);
});
socket.on('mention', ({ room: where, seq }) => {
  command('message:get', { room: where, seq })
    .then(({ message }) => answer(message))
    .catch(fail);
});
socket.on('connect_error', fail);
process.once('SIGTERM', () => socket.disconnect());
