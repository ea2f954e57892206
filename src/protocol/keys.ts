/** API keys: the input and the output of the commands that manage them, for the command line and for REST. */
import { z } from 'zod';
import { ipRange } from './ip-range.ts';
import { displayText } from './model.ts';
import { scopes } from './scopes.ts';

export const keyLimits = {
  nameLength: 64,
  /** Patterns of room ids of one key. */
  rooms: 32,
  /** A pattern is as long as the longest room id at most. */
  patternLength: 64,
  /** Networks of one key. */
  networks: 32,
  networkLength: 49,
  perHour: 1_000_000_000,
  /** How long the former secret stays valid after a rotation: 30 days. */
  overlapMs: 30 * 86_400_000,
  /** The end of the year 9999. */
  moment: 253_402_300_799_999,
} as const;

export const keyId = z
  .string()
  .regex(/^[a-z0-9]{12}$/, 'the id of an API key is 12 of a-z 0-9')
  .describe('id of an API key: 12 of `a-z 0-9`');

export const roomPattern = z
  .string()
  .max(keyLimits.patternLength)
  .regex(/^[A-Za-z0-9_.:*-]+$/, 'a pattern has the characters of a room id, and `*` for any number of characters')
  .describe('pattern of room ids: `*` stands for any number of characters, as in `team-*`');

export const network = z
  .string()
  .max(keyLimits.networkLength)
  .refine((text) => ipRange(text) !== undefined, 'expected an address or a range such as 10.0.0.0/8')
  .meta({ pattern: '^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$' })
  .describe('an IP address, or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`');

const moment = z.int().min(0).max(keyLimits.moment).describe('milliseconds since 1970');

export const keyCreateInput = z.strictObject({
  name: displayText(keyLimits.nameLength).describe('name of the key, for the operator'),
  scopes: z.array(z.enum(scopes)).min(1).max(scopes.length).describe('what the key may do'),
  rooms: z
    .array(roomPattern)
    .min(1)
    .max(keyLimits.rooms)
    .default(['*'])
    .describe('rooms that the key may use; without the field, every room'),
  networks: z
    .array(network)
    .max(keyLimits.networks)
    .default([])
    .describe('networks from which the key may be used; an empty list stands for any network'),
  perHour: z
    .int()
    .min(1)
    .max(keyLimits.perHour)
    .optional()
    .describe('requests per hour; without the field, the value of PARLEY_API_KEY_REQUESTS_PER_HOUR'),
  expiresAt: moment.optional().describe('when the key expires, in milliseconds since 1970; without the field, never'),
});

export const keyRotateInput = z.strictObject({
  id: keyId,
  overlapMs: z
    .int()
    .min(0)
    .max(keyLimits.overlapMs)
    .optional()
    .describe('how long the former secret stays valid; 0 ends it at once; default: PARLEY_API_KEY_OVERLAP_MS'),
});

export const keyRevokeInput = z.strictObject({ id: keyId });

/** A key as it is listed. The secret and its hash are not part of a list. */
export const keyView = z.strictObject({
  id: keyId,
  name: z.string(),
  scopes: z.array(z.enum(scopes)),
  rooms: z.array(roomPattern),
  networks: z.array(network),
  perHour: z.int().describe('requests per hour, also where the value is the default'),
  expiresAt: moment.nullable(),
  createdAt: moment,
  rotatedAt: moment.nullable(),
  previousUntil: moment.nullable().describe('when the secret before the last rotation ends; null: it has ended'),
  usedAt: moment.nullable().describe('when the key was last used, up to a minute late'),
});

/** The answer of `create` and `rotate`: the only one that has the secret. */
export const keyWithSecret = z.strictObject({
  key: keyView,
  text: z.string().describe('the whole key, `pk_<id>_<secret>`; Parley shows it this one time'),
});

export const keyListOutput = z.strictObject({ keys: z.array(keyView) });

export type KeyCreateInput = z.output<typeof keyCreateInput>;
export type KeyRotateInput = z.output<typeof keyRotateInput>;
export type KeyRevokeInput = z.output<typeof keyRevokeInput>;
export type KeyView = z.output<typeof keyView>;
export type KeyWithSecret = z.output<typeof keyWithSecret>;
