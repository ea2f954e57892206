/**
 * No regular expression takes more than linear time for input of a user. A new expression makes the first test fail until this
 * file lists it. The list has its longest text, or the reason why no user gives the text.
 */
import { expect, it } from 'vitest';
import { regexesOf, toRegExp, worstTexts } from './regexes.ts';

/** Files that see what operators configure, answers of Postgres, Redis and the system, or the project's own texts. */
const withoutUsers: readonly string[] = [
  'config/values.ts',
  'config/config.ts',
  'config/describe.ts',
  'config/keys/push.ts',
  'cli/doctor.ts',
  'main.ts',
  'protocol/document.ts',
  'protocol/inspection.ts',
  'storage/connection-settings.ts',
  'storage/connection-url.ts',
  'storage/database.ts',
  'storage/failure.ts',
  'storage/function-files.ts',
  'storage/hosts.ts',
  'storage/migrate.ts',
  'storage/password-encoding.ts',
  'storage/redis-refusal.ts',
  'storage/redis-writes.ts',
  'storage/redis.ts',
  'search/search-language.ts',
  'telemetry/system.ts',
  'cli/transfer.ts',
  'processes/worker.ts',
  'api/docs-page.ts',
  'api/operation.ts',
  'api/projection.ts',
  'api/rest.ts',
  'cli/keys.ts',
  'storage/cache/bus.ts',
  'notifications/lanes/pg-pool.ts',
  'notifications/lanes/queue-schema.ts',
];

/** A body, and what a browser shows of it. */
const body = 16 * 1024;
/** A request's line and headers together. */
const header = 8 * 1024;
/** A frame. */
const frame = 64 * 1024;
/** Names, ids and the like: bounded before or by the expression itself; here far longer than any. */
const short = 1024;

/** Longest text of each, in UTF-16 units. A regular expression in the place of a number: what `new RegExp` makes, or one like it. */
const seen: Readonly<Record<string, Readonly<Record<string, number | [RegExp, number]>>>> = {
  'http/client-address.ts': { [String.raw`/^\[(.+)\](?::\d+)?$/`]: header, [String.raw`/^([\d.]+):\d+$/`]: header },
  'http/content-encoding.ts': { [String.raw`/^\s*q=([\d.]{1,5})\s*$/`]: header },
  'http/etags.ts': { [String.raw`/^W\//`]: header },
  'api/bridge/answer.ts': { [String.raw`/[^\0-\x7f]/`]: header },
  'api/bridge/bridge.ts': { [String.raw`/^[A-Za-z0-9._~\-[\]:]{1,255}$/`]: header },
  'api/bridge/headers.ts': {
    "/^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+$/": header,
    [String.raw`/[\0\r\n]|[^\0-\xff]/`]: header,
  },
  'api/trace-context.ts': {
    [String.raw`/^[\w.:-]{1,64}$/`]: header,
    [String.raw`/^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]{0,256})?$/`]: header,
    [String.raw`/^0+$/`]: short,
  },
  'api/callers.ts': { [String.raw`/^Bearer +([^\s]+) *$/i`]: header },
  'api/files.ts': {
    [String.raw`/^(image\/(avif|gif|jpeg|png|webp|apng)|audio\/[a-z0-9.+-]+|video\/[a-z0-9.+-]+)$/`]: short,
    '/^[0-9a-f-]{36}$/': header,
    [String.raw`/[^\x20-\x7e]|["\\%]/g`]: short,
    "/['()*]/g": short,
    [String.raw`/^bytes=(\d{0,15})-(\d{0,15})$/`]: header,
  },
  'uploads/file-name.ts': { [String.raw`/[/\\\uFFFD]/`]: header, [String.raw`/^\.+$/`]: header },
  'uploads/signed-links.ts': { [String.raw`/^\d{1,15}$/`]: header },
  'uploads/uploads.ts': { [String.raw`/^\d{1,15}$/`]: header },
  'web/chat/uploads/file-links.ts': { [String.raw`/^\//u`]: header },
  'api/idempotency.ts': {
    [String.raw`/^[\x21-\x7e]{1,255}$/`]: header,
    '/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i': header,
  },
  'api/keys/key-text.ts': { '/^pk_([a-z0-9]{12})_([0-9a-f]{64})$/': header },
  'protocol/webhooks.ts': { [String.raw`/^https?:\/\//`]: short },
  'notifications/dead-letters/dead-cursor.ts': {
    [String.raw`/^(\d{1,16}) ([0-9a-f-]{36})$/`]: header,
    '/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/': header,
  },
  'protocol/devices.ts': {
    [String.raw`/^https?:\/\//`]: short,
    '/^[A-Za-z0-9_-]{87}=?$/': frame,
    '/^[A-Za-z0-9_-]{22}(==)?$/': frame,
  },
  'rooms/room-patterns.ts': { [String.raw`/^\*+$/`]: short },
  'api/pages.ts': { '/^[A-Za-z0-9_-]+$/': header },
  'api/request-input.ts': {
    [String.raw`/\{(\w+)\}/g`]: short,
    [String.raw`/^-?\d{1,16}(\.\d{1,16})?$/`]: header,
    [String.raw`/position (\d+)/`]: short,
  },
  'hub/followers.ts': { [String.raw`/^\{"room":"[^"]*","seq":(\d+),/`]: frame },
  'api/wallet/sign-in-message.ts': {
    [String.raw`/^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/`]: body,
    '/^0x[0-9a-fA-F]{40}$/': body,
    [String.raw`/^[\x20-\x7e]*$/`]: body,
    [String.raw`/^[1-9]\d{0,14}$/`]: body,
    '/^[A-Za-z0-9]{8,256}$/': body,
    [String.raw`/^[\x21-\x7e]*$/`]: body,
    [String.raw`/^[A-Za-z0-9.[\]:-]{1,255}$/`]: body,
    [String.raw`/^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/`]: body,
  },
  'protocol/ip-range.ts': { [String.raw`/^\d{1,3}$/`]: short },
  'protocol/keys.ts': { '/^[a-z0-9]{12}$/': frame, '/^[A-Za-z0-9_.:*-]+$/': frame },
  'protocol/notifications.ts': { '/^([01][0-9]|2[0-3]):[0-5][0-9]$/': frame },
  'protocol/profile.ts': {
    [String.raw`/^https:\/\/[\x21-\x7e]+$/`]: frame,
    '/^[A-Za-z][A-Za-z0-9_+/-]*$/': frame,
  },
  'protocol/routes/auth.ts': {
    '/^[A-Za-z0-9_.-]{1,32}$/': frame,
    '/^0x[0-9a-fA-F]{40}$/': frame,
    '/^0x(?:[0-9a-fA-F]{2})+$/': frame,
  },
  'storage/cache/kinds.ts': {
    '/^(room|user):./': short,
    [String.raw`/[%/\n\r]/g`]: short,
    [String.raw`/^\w+\//`]: short,
  },
  'telemetry/redaction.ts': { [String.raw`/\bpk_([a-z0-9]{12})_[0-9A-Za-z]+/g`]: frame },
  'client/connection.ts': { [String.raw`/\/$/`]: header },
  'client/uuid.ts': { '/(.{8})(.{4})(.{4})(.{4})/': short },
  'fanout/event-text.ts': { '/^[A-Za-z0-9:_-]{1,64}$/': frame },
  'transport/engineio/engine.ts': { [String.raw`/\/$/`]: header },
  'transport/engineio/packet.ts': { [String.raw`/[\r\n]/g`]: frame, '/^[A-Za-z0-9+/]*={0,2}$/': frame },
  'connect/sockets.ts': { [String.raw`/[^\x20-\x7e]/g`]: header },
  'messages/bodies/mentions.ts': { '/^ {0,3}(`{3,}|~{3,})/': body, '/`+/g': body },
  'rooms/channel-search.ts': { '/[\\s!-/:-@[-`{-~]+/': short },
  'messages/bodies/bodies.ts': {
    [String.raw`/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/`]: frame,
    [String.raw`/\de[+-](\d{1,3})/g`]: frame,
  },
  'rooms/page-cursor.ts': { [String.raw`/^(\d{1,15}) (\d{1,15}) (.+)$/`]: short },
  'recovery/recent-rows.ts': { [String.raw`/\{"emoji":("[^"]*"),"count":\d+/g`]: frame },
  'search/search.ts': { [String.raw`/\ufffd$/`]: body },
  'transfer/lines.ts': { '/^[0-9a-f]{64}$/': short },
  'transfer/room-records.ts': { [String.raw`/^(\d+) (.*)$/`]: short },
  'protocol/body.ts': {
    '/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/': body,
    [String.raw`/^[a-z]+\/[a-z0-9][a-z0-9.+_-]*$/`]: body,
    '/^[A-Za-z0-9][A-Za-z0-9_.:+/-]{0,63}$/': body,
    [String.raw`/^[\x21-\x7e]{1,128}$/`]: body,
  },
  'protocol/commands/invitations.ts': { '/^[A-Za-z0-9_-]{32}$/': frame },
  'protocol/commands/sessions.ts': { '/^[A-Za-z0-9_~-]{1,64}$/': frame },
  'protocol/emoji.ts': {
    'new RegExp': [new RegExp('^\\p{RGI_Emoji}$', 'v'), frame],
    [String.raw`/^\p{Extended_Pictographic}[\p{Emoji_Modifier}\ufe0f]?(?:\u200d\p{Extended_Pictographic}[\p{Emoji_Modifier}\ufe0f]?)*$/u`]:
      frame,
  },
  'protocol/model.ts': {
    '/^[A-Za-z0-9_.:-]{1,64}$/': frame,
    '/^[A-Za-z0-9_.:@|+-]{1,64}$/': frame,
    [String.raw`/[\u0000-\u001f\u007f]/`]: frame,
    '/^[0-9a-f]{16}$/': frame,
  },
  'telemetry/printable.ts': { [String.raw`/[\t\n]/g`]: frame },
  'web/ui/avatar.tsx': { [String.raw`/\s+/`]: short },
  'web/chat/text/body.ts': { '/^https?:$/u': body },
  'web/chat/composer/candidates.ts': { [String.raw`/[\s.-]+/u`]: short, [String.raw`/\s+/gu`]: short },
  'web/chat/text/mentions.ts': {
    [String.raw`/[\\^$.*+?()[\]{}|/]/gu`]: short,
    'new RegExp': [/@(ann|ann b|room)(?![\p{L}\p{N}_]|[.:|+@-][A-Za-z0-9_])/gu, body],
    [String.raw`/@([^\s@]{0,40}(?: [^\s@]{1,30})?)$/u`]: body,
  },
  'web/chat/search/search.tsx': { '/Mac|iP(hone|ad)/u': short },
  'web/chat/text/text.ts': {
    [String.raw`/\bhttps?:\/\/[^\s<>"]+/giu`]: body,
    [String.raw`/\s/gu`]: body,
    [String.raw`/^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}|\p{Emoji_Modifier}|\u200d|\ufe0f|\u20e3)+$/u`]:
      body,
    [String.raw`/\s+/gu`]: body,
  },
  'web/chat/composer/use-mentions.tsx': { [String.raw`/^\s/u`]: body },
};

/** Files in which every expression sees names and words of users, of at most a body. */
const ofTexts: readonly string[] = ['protocol/display-text.ts', 'protocol/mention-scan.ts', 'telemetry/printable.ts'];

const found = regexesOf().filter(({ file }) => !withoutUsers.includes(file));

interface Timed {
  readonly name: string;
  readonly regex: RegExp;
  readonly longest: number;
}

const listed = found.flatMap(({ file, source }): Timed[] => {
  const entry = seen[file]?.[source] ?? (ofTexts.includes(file) && source !== 'new RegExp' ? body : undefined);
  if (entry === undefined) return [];
  const [regex, longest] = typeof entry === 'number' ? [toRegExp(source), entry] : entry;
  return [{ name: `${file} ${source.slice(0, 80)}`, regex, longest }];
});

it('every regular expression that may see text of users is listed', () => {
  const unlisted = found.filter(({ file, source }) => seen[file]?.[source] === undefined && !ofTexts.includes(file));
  expect(unlisted).toEqual([]);
  const gone = Object.entries(seen).flatMap(([file, sources]) =>
    Object.keys(sources).filter((source) => !found.some((one) => one.file === file && one.source === source)),
  );
  expect(gone).toEqual([]);
  const files = regexesOf().map(({ file }) => file);
  expect([...withoutUsers, ...ofTexts].filter((file) => !files.includes(file))).toEqual([]);
  expect(listed.length).toBeGreaterThan(50);
});

/** Below it no time is worth a comparison: the longest text is read in a small part of an event loop's turn. */
const negligibleMs = 4;
const growth = 2.5;
/** For the runs with one text. */
const patienceMs = 300;

/** Finds every match and keeps none: the memory of 100,000 matches would take more than linear time. */
function findAll(regex: RegExp, text: string): void {
  regex.lastIndex = 0;
  for (let before = -1; regex.test(text); before = regex.lastIndex) {
    // an empty match does not move by itself
    if (regex.lastIndex === before) regex.lastIndex++;
  }
}

/** In milliseconds of the processor: on a busy machine, a long run is interrupted each time, and a short one is not. */
function timeOf(regex: RegExp, text: string): number {
  const from = process.cpuUsage();
  if (regex.global) findAll(regex, text);
  else regex.test(text);
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}

/** The least of several: whatever else the machine does only adds. */
function leastOf(regex: RegExp, text: string, runs: number): number {
  let [least, spent] = [Infinity, 0];
  for (let run = 0; run < runs && least > negligibleMs / 8 && spent < patienceMs; run++) {
    const took = timeOf(regex, text);
    least = Math.min(least, took);
    spent += took;
  }
  return least;
}

/** The fault of the expression for texts of this kind, if any. */
function slowness(regex: RegExp, textOf: (length: number) => string, longest: number): string | undefined {
  let before = 0;
  // an exponential one shows itself at once, a quadratic one long before the longest text
  for (let length = 16; ; length = length < 32 ? length + 4 : length * 2) {
    const size = Math.min(length, longest * 2);
    const took = leastOf(regex, textOf(size), 7);
    if (took > negligibleMs && (before === 0 || took > before * growth)) {
      // A slow expression is slow each time; another process may take the time of one attempt.
      const attempts = Array.from({ length: 3 }, () => {
        const [half, whole] = [leastOf(regex, textOf(size / 2), 25), leastOf(regex, textOf(size), 25)];
        return { half, whole, slow: whole > negligibleMs && whole > half * growth };
      });
      const [{ half, whole } = { half: 0, whole: 0 }] = attempts;
      if (attempts.every(({ slow }) => slow))
        return `${half.toFixed(2)} ms for ${size / 2}, ${whole.toFixed(2)} ms for ${size}: ${JSON.stringify(textOf(12))}`;
    }
    if (size === longest * 2) return undefined;
    before = took;
  }
}

it.each([
  ['quadratic', /a+$/, 4096],
  ['quadratic in a pair', /(?:ab)+$/, 8192],
  ['quadratic by a search', /"[^~]*x"/, 8192],
  ['exponential', /^(?:a+)+$/, 1024],
] as const)('finds one that is %s', (_, regex, longest) => {
  const isSlow = worstTexts(regex, longest).some((textOf) => slowness(regex, textOf, longest) !== undefined);
  expect(isSlow).toBe(true);
});

it.each(listed.map((one) => [one.name, one] as const))('%s is linear', (_, { regex, longest }) => {
  for (const textOf of worstTexts(regex, longest)) expect(slowness(regex, textOf, longest)).toBeUndefined();
});
