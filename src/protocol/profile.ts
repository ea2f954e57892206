/** The profile of a user: what REST reads and writes of a user. */
import { z } from 'zod';
import { instant, userId, userName } from './model.ts';

export const profileLimits = {
  avatarLength: 1024,
  /** The longest tag of BCP 47 that names a language, a script, a region and an extension has fewer letters. */
  localeLength: 64,
  zoneLength: 64,
} as const;

const avatar = z
  .string()
  .max(profileLimits.avatarLength)
  .refine(isAvatar, 'expected an https URL without a user name or a password')
  .meta({ pattern: '^https://[!-~]+$' })
  .describe('an https URL; Parley stores the URL and never fetches it');

const locale = z
  .string()
  .max(profileLimits.localeLength)
  .refine(isLocale, 'expected a language tag (BCP 47) such as pt-BR')
  .meta({ pattern: '^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$' })
  .describe('a language tag (BCP 47), such as `pt-BR`');

export const zone = z
  .string()
  .max(profileLimits.zoneLength)
  .refine(isZone, 'expected a time zone (IANA) such as Europe/Berlin')
  .meta({ pattern: '^[A-Za-z][A-Za-z0-9_+/-]*$' })
  .describe('a time zone (IANA), such as `Europe/Berlin`');

const own = 'only in your own profile, and for API keys';

export const profile = z
  .object({
    id: userId,
    name: z.string().nullable().describe('the display name'),
    avatar: z.string().nullable().describe('an https URL'),
    locale: z.string().nullable().optional().describe(`a language tag (BCP 47); ${own}`),
    zone: z.string().nullable().optional().describe(`a time zone (IANA); ${own}`),
    createdAt: instant.optional().describe(`when Parley first stored the user, in milliseconds since 1970; ${own}`),
  })
  .meta({ id: 'User' });

/** A field that is left out stays as it is; null clears the field. */
export const profileChange = z.object({
  name: userName.nullable().optional(),
  avatar: avatar.nullable().optional(),
  locale: locale.nullable().optional(),
  zone: zone.nullable().optional(),
});

/** A field that is left out is cleared. */
export const wholeProfile = z.object({
  name: userName.nullable().default(null),
  avatar: avatar.nullable().default(null),
  locale: locale.nullable().default(null),
  zone: zone.nullable().default(null),
});

export type Profile = z.output<typeof profile>;
export type ProfileChange = z.output<typeof profileChange>;
export type WholeProfile = z.output<typeof wholeProfile>;

/** Postgres and every client must be able to keep the text, so it has ASCII without spaces, as `URL.href` has. */
function isAvatar(text: string): boolean {
  if (!/^https:\/\/[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return false;
  const { protocol, username, password, hostname } = new URL(text);
  return protocol === 'https:' && username === '' && password === '' && hostname !== '';
}

function isLocale(text: string): boolean {
  try {
    return Intl.getCanonicalLocales(text).length === 1;
  } catch {
    // the text is no tag of BCP 47
    return false;
  }
}

/** Offsets such as +01:00 are refused: they do not follow summer time. */
function isZone(text: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(text)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    // Intl does not know the zone
    return false;
  }
}
