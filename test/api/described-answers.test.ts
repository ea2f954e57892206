/** The check of answers itself: an answer that OpenAPI does not describe is a fault. */
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { describedBy } from '../support/checked-fetch.ts';
import { tokenOf } from '../support/server.ts';

const { server, room, say } = await stage({ people: ['owner'] });
const hall = await room();
await say('owner', hall, 'one');
const authorization = `Bearer ${await tokenOf('owner')}`;
const answers = await describedBy(server.url);
const target = `/api/v1/rooms/${hall}/messages`;
const real = await fetch(server.url + target, { headers: { authorization } });
const answer = { method: 'GET', target, status: real.status, headers: real.headers, body: await real.text() };
const withHeader = (name: string, value: string): Headers => new Headers([...real.headers, [name, value]]);
const without = (name: string): Headers => new Headers([...real.headers].filter(([other]) => other !== name));

it('finds no fault in an answer of the server', () => {
  expect(answers.faults(answer)).toEqual([]);
});

it.each([
  ['a status', { status: 201 }, 'the status 201 is not documented'],
  ['a header', { headers: withHeader('x-secret', '1') }, 'the header x-secret is not documented'],
  [
    'a type',
    { headers: new Headers({ ...Object.fromEntries(real.headers), 'content-type': 'text/plain' }) },
    'the type is',
  ],
  ['a property', { body: answer.body.replace('"seq":1', '"seq":1,"secret":1') }, 'must NOT have additional properties'],
  ['a value', { body: answer.body.replace('"seq":1', '"seq":"1"') }, 'must be integer'],
  [
    'no required property',
    { body: answer.body.replace('"hasMore":false', '"x":1') },
    "must have required property 'hasMore'",
  ],
  ['no required header', { headers: without('x-request-id') }, 'the header x-request-id is missing'],
  ['no JSON', { body: 'x' }, 'the body is no JSON'],
  ['an address', { target: '/api/v1/nothing' }, 'the status is 200 instead of 404'],
  ['a method', { method: 'PATCH' }, 'the status is 200 instead of 405'],
])('an answer with %s that is not documented is a fault', (_, change, fault) => {
  expect(answers.faults({ ...answer, ...change }).join('\n')).toContain(fault);
});

it('an answer with chosen fields may lack the others, and has no further ones', () => {
  const chosen = {
    ...answer,
    target: `${target}?fields=seq`,
    body: '{"items":[{"seq":1}],"next":null,"hasMore":false}',
  };
  expect(answers.faults(chosen)).toEqual([]);
  expect(answers.faults({ ...chosen, target })).not.toEqual([]);
  expect(answers.faults({ ...chosen, body: chosen.body.replace('"seq"', '"secret"') })).not.toEqual([]);
});

it('a line of a stream has a documented form', () => {
  const path = `/rooms/${hall}/messages?follow=true`;
  expect(answers.lineFaults(path, '{"type":"heartbeat","rev":1,"seq":1}')).toEqual([]);
  expect(answers.lineFaults(path, '{"type":"heartbeat","rev":1,"seq":1,"secret":1}')).not.toEqual([]);
});
