/**
 * The SQL calls of nodes that end with migration 0028, in an order in which each finds what it needs. Recorded from their
 * source: a value that the driver sends as a parameter is a parameter here too, since that decides which overload Postgres
 * takes. This list stays as it is while such nodes may run beside the present release.
 */
export interface EarlierCall {
  /** Functions that the call names, by the types of their arguments. */
  readonly signatures: readonly string[];
  readonly query: string;
  readonly values: readonly (string | number | boolean | null)[];
}

const everybody = ['owner', 'admin', 'member', 'guest', 'nobody'];
const rights = JSON.stringify({
  may: { direct: everybody, group: everybody, channel: everybody },
  archived: true,
  below: { owner: ['admin', 'member', 'guest'], admin: ['member', 'guest'] },
  gives: { owner: ['admin', 'member', 'guest'], admin: ['member', 'guest'] },
});
const uuid = (n: number): string => `00000000-0000-4000-8000-0000000000${String(n).padStart(2, '0')}`;
const hash = 'digest';

const call = (
  signatures: string | readonly string[],
  query: string,
  ...values: EarlierCall['values']
): EarlierCall => ({
  signatures: typeof signatures === 'string' ? [signatures] : signatures,
  query,
  values,
});

const createRoom = (...values: EarlierCall['values']): EarlierCall =>
  call(
    'create_room(text,text,text,text,text,integer,boolean)',
    'select create_room($1, $2, $3, $4, $5, $6, $7) as outcome',
    ...values,
  );

const append = 'append_messages(text[],jsonb,bigint[])';
const change = 'change_messages(text[],jsonb,bigint[],bigint,integer,integer)';

export const earlierCalls: readonly EarlierCall[] = [
  createRoom('g', 'group', 'Group', 'ann', null, 100, false),
  createRoom('c', 'channel', 'Channel node.js', 'ann', null, 100, false),
  createRoom('d', 'direct', null, 'ann', 'ben', 100, true),
  createRoom('d', 'direct', null, 'ann', 'ben', 100, true),
  call(
    'ask_peer(text,text,text,interval,integer)',
    'select ask_peer($1, $2, $3, $4::text::interval, $5) as asked',
    'd',
    'ann',
    'ben',
    '7 days',
    100,
  ),
  ...['ben', 'cat'].map((user) =>
    call(
      'add_member(text,text,text,text,integer,integer,jsonb)',
      'select add_member($1, $2, $3, $4, $5, $6, $7::text::jsonb) as outcome',
      'g',
      'ann',
      user,
      'member',
      100,
      100,
      rights,
    ),
  ),
  call(
    'invite_user(text,text,text,text,interval,integer,integer,jsonb)',
    'select invite_user($1, $2, $3, $4, $5::text::interval, $6, $7, $8::text::jsonb) as outcome',
    'g',
    'ann',
    'dan',
    'member',
    '7 days',
    100,
    100,
    rights,
  ),
  call(
    'answer_invitation(text,text,boolean,interval,integer,integer)',
    'select outcome, given_role, inviter from answer_invitation($1, $2, $3, $4::text::interval, $5, $6)',
    'g',
    'dan',
    true,
    '7 days',
    100,
    100,
  ),
  call(
    'cancel_invitation(text,text,text,jsonb)',
    'select cancel_invitation($1, $2, $3, $4::text::jsonb) as outcome',
    'g',
    'ann',
    'eve',
    rights,
  ),
  call(
    'join_room(text,text,integer,integer,jsonb)',
    'select join_room($1, $2, $3, $4, $5::text::jsonb) as outcome',
    'c',
    'ben',
    100,
    100,
    rights,
  ),
  call(
    [append, 'note_sends(bigint[],jsonb,bigint,integer)'],
    `with a as materialized (select * from append_messages($1::text[], $2::text::jsonb, $3::bigint[]))
     select a.*, x.thread, x.mentioned from a left join note_sends(
       (select array_agg(case outcome when 'fresh' then seq when 'duplicate' then -seq else 0 end order by n) from a),
       $4::text::jsonb, (select max(outbox_id) from a), $5
     ) x on x.n = a.n order by a.n`,
    '{c,g}',
    JSON.stringify([
      ['g', uuid(1), 'ann', { text: 'hello there @ben' }, null, null],
      ['g', uuid(2), 'ben', { text: 'hello back' }, null, 'high'],
      ['c', uuid(3), 'ben', 'in the channel', null, null],
      ['g', uuid(4), 'eve', 'a stranger', null, null],
    ]),
    '{}',
    JSON.stringify([[1, 'g', 'ann', [['ben']], false]]),
    100,
  ),
  call(
    append,
    'select * from append_messages($1::text[], $2::text::jsonb, $3::bigint[])',
    '{g}',
    JSON.stringify([
      ['g', uuid(1), 'ann', { text: 'again' }, null, null],
      ['g', uuid(2), 'ann', { text: 'another sender' }, null, null],
      ['g', uuid(5), 'cat', { text: 'an answer' }, 1, null],
      ['g', uuid(6), 'cat', { text: 'to nothing' }, 99, null],
    ]),
    '{1}',
  ),
  call(
    [append, 'note_sends(bigint[],jsonb,bigint,integer)'],
    `with a as materialized (select * from append_messages($1::text[], $2::text::jsonb, $3::bigint[]))
     select a.n, a.outcome, x.thread, x.mentioned from a left join note_sends(
       (select array_agg(case outcome when 'fresh' then seq when 'duplicate' then -seq else 0 end order by n) from a),
       $4::text::jsonb, (select max(outbox_id) from a), $5
     ) x on x.n = a.n order by a.n`,
    '{g}',
    JSON.stringify([['g', uuid(7), 'dan', { text: 'in a thread' }, 1, null]]),
    '{}',
    JSON.stringify([[1, 'g', 'dan', [], false]]),
    100,
  ),
  call(
    [change, 'note_changes(integer[],jsonb)'],
    `with c as materialized (
       select * from change_messages($1::text[], $2::text::jsonb, $3::bigint[], $4::bigint, $5, $6))
     select c.*, x.pinned, x.thread, x.mentioned from c left join note_changes(
       (select array_agg(case outcome when 'changed' then 1 else 0 end order by n) from c), $7::text::jsonb
     ) x on x.n = c.n order by c.n`,
    '{g}',
    JSON.stringify([
      [
        'g',
        [
          [0, 'edit', 2, 'ben', { text: 'hello again @cat' }],
          [1, 'add', 1, 'ben', '👍'],
          [2, 'delete', 3, 'cat', null],
          [3, 'edit', 1, 'cat', { text: 'not mine' }],
        ],
      ],
    ]),
    '{}',
    86_400_000,
    20,
    20,
    JSON.stringify([
      [0, 'edit', 'g', 2, 'ben', [['cat']], false],
      [2, 'delete', 'g', 3, 'cat', [], false],
    ]),
  ),
  call(
    change,
    'select * from change_messages($1::text[], $2::text::jsonb, $3::bigint[], $4::bigint, $5, $6)',
    '{g}',
    JSON.stringify([['g', [[0, 'remove', 1, 'ben', '👍']]]]),
    '{}',
    86_400_000,
    20,
    20,
  ),
  call(
    'pin_message(text,bigint,text,boolean,integer,bigint[],jsonb)',
    `select outcome, rev, at, id, outbox_id from pin_message($1, $2, $3, $4, $5, $6::bigint[], $7::text::jsonb)`,
    'g',
    1,
    'ann',
    true,
    10,
    '{}',
    rights,
  ),
  call(
    ['pin_state(messages)', 'thread_state(threads)'],
    `select t.seq, pin_state(t) as pinned,
       (select thread_state(h) from threads h where h.room_id = t.room_id and h.root = t.thread) as thread
     from messages t where t.room_id = $1 order by t.seq`,
    'g',
  ),
  call('mark_read(json)', 'select * from mark_read($1::text::json)', JSON.stringify([{ r: 'g', u: 'ann', s: 2 }])),
  call(
    'mark_delivered(json,integer)',
    'select * from mark_delivered($1::text::json, $2)',
    JSON.stringify([
      { r: 'g', u: 'ben', s: 2 },
      { r: 'g', u: 'eve', s: 2 },
    ]),
    100,
  ),
  call('unread_rooms(text,text,integer,integer)', 'select * from unread_rooms($1, $2, $3, $4)', 'ben', '', 10, 100),
  call(
    'sharing_a_room(text[],text[])',
    'select n from sharing_a_room($1::text[], $2::text[]) as n',
    '{ann,ann,eve}',
    '{ben,eve,eve}',
  ),
  call('trim_follows(text[],integer)', 'select trim_follows($1::text[], $2)', '{dan}', 100),
  call(
    'index_messages(text[],text,integer)',
    'select * from index_messages($1::text[], $2, $3)',
    '{c,g}',
    'simple',
    100,
  ),
  call(
    ['search_parse(text,text,boolean)', 'search_size(tsquery)'],
    'select search_size(q.wanted) as size, q.wanted::text, q.hits::text, q.runs from search_parse($1, $2, false) q',
    'simple',
    'hello',
  ),
  call(
    ['search_parse(text,text,boolean)', 'search_size(tsquery)'],
    `select wanted::text, search_size(wanted) as size from search_parse('simple', $1, true)`,
    'node.js',
  ),
  call(
    'room_words(text,text)',
    'select id from rooms r where room_words(r.name, r.topic) @@ $1::text::tsquery',
    'node',
  ),
  call(
    [
      'search_messages(text,tsquery,text,text,timestamptz,timestamptz,timestamptz,text,bigint,integer,integer)',
      'search_text(jsonb)',
      'search_words(text,text)',
      'search_marked(text,text,tsquery,text[],text,text)',
    ],
    `select s.room_id, s.seq, coalesce(search_words($1, b.content) @@ q.query, false) as match,
       search_marked($1, translate(b.content, '<>', ''), q.query, '{}'::text[], '<', '>') as snippet
     from (select $2::text::tsquery as query) q
     cross join lateral search_messages(
       $3, q.query, $4, $5, $6::timestamptz, $7::timestamptz, $8::timestamptz, $9, $10::bigint, $11, $12
     ) with ordinality as s (room_id, seq, n)
     join messages t on t.room_id = s.room_id and t.seq = s.seq
     cross join lateral (select search_text(t.body) as content) b order by s.n`,
    'simple',
    'hello',
    'ann',
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    20,
    2400,
  ),
  call(
    'update_room(text,text,jsonb,jsonb)',
    'select update_room($1, $2, $3::text::jsonb, $4::text::jsonb) as outcome',
    'g',
    'ann',
    JSON.stringify({ topic: 'talk', retentionDays: 30, slowMode: 5 }),
    rights,
  ),
  call(
    append,
    'select n, outcome, seq, rev from append_messages($1::text[], $2::text::jsonb, $3::bigint[])',
    '{g}',
    JSON.stringify([
      ['g', uuid(8), 'dan', 'one', null, null],
      ['g', uuid(9), 'dan', 'at once', null, null],
    ]),
    '{}',
  ),
  ...[true, false].map((archive) =>
    call(
      'archive_room(text,text,boolean,jsonb)',
      'select archive_room($1, $2, $3, $4::text::jsonb) as outcome',
      'g',
      'ann',
      archive,
      rights,
    ),
  ),
  call(
    'make_link(text,text,text,bytea,text,timestamptz,integer,integer,jsonb)',
    `select make_link($1, $2, $3, convert_to($4, 'utf8'), $5, l.expires, $6::integer, $7, $8::text::jsonb) as outcome
     from (select clock_timestamp() + interval '1 day') l (expires)`,
    'g',
    'ann',
    'link',
    hash,
    'member',
    5,
    10,
    rights,
  ),
  call(
    'use_link(bytea,text,integer,integer,jsonb)',
    `select outcome, link_room, given_role, maker from use_link(convert_to($1, 'utf8'), $2, $3, $4, $5::text::jsonb)`,
    hash,
    'eve',
    100,
    100,
    rights,
  ),
  call(
    'revoke_link(text,text,text,jsonb)',
    'select revoke_link($1, $2, $3, $4::text::jsonb) as outcome',
    'g',
    'ann',
    'link',
    rights,
  ),
  ...[60, null].map((seconds) =>
    call(
      'mute_member(text,text,text,timestamptz,jsonb)',
      `select mute_member($1, $2, $3, m.until, $5::text::jsonb) as outcome
       from (select clock_timestamp() + $4::integer * interval '1 s') m (until)`,
      'g',
      'ann',
      'cat',
      seconds,
      rights,
    ),
  ),
  call(
    'set_role(text,text,text,text,jsonb)',
    'select set_role($1, $2, $3, $4, $5::text::jsonb) as outcome',
    'g',
    'ann',
    'ben',
    'admin',
    rights,
  ),
  call(
    'ban_user(text,text,text,text,integer,jsonb)',
    'select outcome, removed from ban_user($1, $2, $3, $4, $5, $6::text::jsonb)',
    'g',
    'ann',
    'eve',
    null,
    100,
    rights,
  ),
  call(
    'lift_ban(text,text,text,jsonb)',
    'select lift_ban($1, $2, $3, $4::text::jsonb) as outcome',
    'g',
    'ann',
    'eve',
    rights,
  ),
  call(
    'transfer_room(text,text,text,jsonb)',
    'select transfer_room($1, $2, $3, $4::text::jsonb) as outcome',
    'g',
    'ann',
    'ben',
    rights,
  ),
  call(
    'remove_from_room(text,text,text,jsonb)',
    'select outcome from remove_from_room($1, $2, $3, $4::text::jsonb) as outcome',
    'g',
    'ben',
    'dan',
    rights,
  ),
  call(
    'block_user(text,text,text,integer)',
    'select outcome from block_user($1, $2, $3, $4) as outcome',
    'ann',
    'ben',
    'd',
    100,
  ),
  call('has_blocked(text,text)', 'select has_blocked(u.id, $1) as blocked from users u order by u.id', 'ben'),
  call('remove_member(text,text,boolean)', 'select outcome, heir from remove_member($1, $2)', 'g', 'ben'),
  call('remove_member(text,text,boolean)', 'select remove_member($1, $2, false)', 'c', 'ben'),
  call('recount_threads(text,boolean)', 'select recount_threads($1, $2)', 'g', true),
  call(
    'first_since(text,timestamptz)',
    'select first_since(id, $2::timestamptz) as first from rooms where id = $1',
    'g',
    '2000-01-01T00:00:00Z',
  ),
  call(
    'first_kept(text,timestamptz,bigint,integer)',
    'select first, more from first_kept($1, $2::timestamptz, $3::bigint, $4)',
    'g',
    '2000-01-01T00:00:00Z',
    1,
    100,
  ),
  call(
    'expire_messages(text,bigint,boolean)',
    'select rev, outbox_id from expire_messages($1, $2::bigint, $3)',
    'g',
    2,
    false,
  ),
  call(
    'expire_late(text,timestamptz,integer)',
    'select removed, rev, outbox_id from expire_late($1, $2::timestamptz, $3)',
    'g',
    '2000-01-01T00:00:00Z',
    100,
  ),
  call('delete_expired(text,integer)', 'select removed, remain, changed from delete_expired($1, $2)', 'g', 100),
  call(
    'revoke_all(text,text,bigint,text,text,bigint,text[],bigint[],bigint[])',
    'select revoke_all($1, $2, $3, $4, $5, $6::int8, $7::text[], $8::int8[], $9::int8[]) as done',
    'ann',
    'spared',
    1000,
    's1',
    'user',
    null,
    '{known}',
    '{9000000000000}',
    '{9000000001000}',
  ),
  call(
    'revoke_all(text,text,bigint,text,text)',
    'select revoke_all($1, $2, $3, $4, $5) as done',
    'ben',
    null,
    0,
    null,
    'operator',
  ),
  call(
    'revoke_tokens(text,text[],bigint[],text)',
    'select revoke_tokens($1, $2::text[], $3::int8[], $4)',
    'cat',
    '{t1}',
    '{9000000000000}',
    'user',
  ),
  call('correct_revocation(bigint,bigint)', 'select correct_revocation($1, $2::int8) is not null as known', 1, 5000),
  call(
    'token_revoked(text,text,bigint)',
    `select t.token, token_revoked(t.user_id, t.token, t.issued) as revoked
     from unnest($1::text[], $2::text[], $3::bigint[]) t (user_id, token, issued)`,
    '{ann,ann,ben,cat,cat}',
    '{spared,other,any,t1,t2}',
    '{1000,1000,1000,1000,1000}',
  ),
  call('installation_state()', 'select intact, complete from installation_state()'),
  call('renew_epoch(uuid)', 'select renew_epoch($1::uuid) as renewed', uuid(0)),
  call('delete_room(text,text,jsonb)', 'select delete_room($1, $2, $3::text::jsonb) as outcome', 'c', 'ann', rights),
];
