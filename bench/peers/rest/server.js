/**
 * The same two routes in Express or Fastify, with the driver of Parley and a pool of the same size. The routes check no token,
 * no rate and no form of the input, and send no event. node server.js express|fastify PORT DATABASE_URL
 */
import express from 'express';
import fastify from 'fastify';
import { randomUUID } from 'node:crypto';
import postgres from 'postgres';

const [framework, port, url] = process.argv.slice(2);
const sql = postgres(url, { max: 10, onnotice: () => undefined });

/** As `history` of Parley: a page of the newest messages of a room, for a member. */
const page = (room, user, limit) => sql`
  select t.room_id as room, t.seq::int, t.rev::int, t.id, t.sender_id as "from", u.name, t.body,
    (extract(epoch from t.created_at) * 1000)::bigint::text as at
  from messages t left join users u on u.id = t.sender_id
  where t.room_id = ${room} and exists (select from members where room_id = ${room} and user_id = ${user})
  order by t.seq desc limit ${limit}`;

/** One statement in its own transaction takes the next number of the room and inserts. */
const store = async (room, user, body) => {
  const [row] = await sql`
    with numbered as (update naive.rooms set last_seq = last_seq + 1 where id = ${room} returning last_seq)
    insert into naive.messages (room_id, seq, id, sender_id, body)
    select ${room}, last_seq, ${randomUUID()}, ${user}, ${sql.json(body)} from numbered
    returning seq::int`;
  return row;
};

if (framework === 'express') {
  const app = express();
  app.use(express.json());
  app.get('/rooms/:room/messages', async (request, response) => {
    response.json({ items: await page(request.params.room, 'user-0', Number(request.query.limit)) });
  });
  app.post('/rooms/:room/messages', async (request, response) => {
    response.status(201).json(await store(request.params.room, 'user-0', request.body.body));
  });
  app.listen(Number(port), '127.0.0.1', () => console.log('listening'));
} else {
  const app = fastify();
  app.get('/rooms/:room/messages', async (request) => ({
    items: await page(request.params.room, 'user-0', Number(request.query.limit)),
  }));
  app.post('/rooms/:room/messages', async (request, reply) => {
    reply.code(201);
    return store(request.params.room, 'user-0', request.body.body);
  });
  await app.listen({ port: Number(port), host: '127.0.0.1' });
  console.log('listening');
}
