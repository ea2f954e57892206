/** Receives webhooks, checks their signatures, and prints each event once. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

/** During a rotation the requests have the signatures of both secrets. */
const key = Buffer.from(process.env.PARLEY_WEBHOOK_SECRET.replace(/^whsec_/, ''), 'base64');
const toleranceSeconds = 300;
/** Ids of events that were handled. A back end keeps them in the transaction of its own work. */
const handled = new Set();

function isSigned({ headers }, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures = '' } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= toleranceSeconds)) return false;
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(' ').some((one) => {
    const [version, text = ''] = one.split(',');
    const given = Buffer.from(text, 'base64');
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

async function receive(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  const id = request.headers['webhook-id'];
  const isGood = isSigned(request, body);
  if (isGood && !handled.has(id)) {
    handled.add(id);
    const { type, data } = JSON.parse(body);
    console.log(type, data.room ?? '-', data.event?.body?.text ?? '-');
  }
  response.writeHead(isGood ? 204 : 401).end();
}

const server = createServer((request, response) => {
  receive(request, response).catch((error) => response.destroy(error));
});
server.listen(Number(process.env.PORT ?? 4000), process.env.HOST ?? '127.0.0.1', () => {
  console.log('listening', server.address().port);
});
