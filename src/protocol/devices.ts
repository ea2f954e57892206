/** Devices: the subscriptions by which notifications reach a user outside of a connection. */
import { z } from 'zod';
import { displayText, instant } from './model.ts';
import type { Channel } from './notifications.ts';
import { outgoingUrl, outgoingUrlLength } from './outgoing-url.ts';

/** The services that reach devices. `web`: Web Push (RFC 8030). */
export const deviceKinds = ['web'] as const;
export type DeviceKind = (typeof deviceKinds)[number];

/** The channel that reaches devices of a kind. */
export const channelOfKind = { web: 'push' } as const satisfies Record<DeviceKind, Exclude<Channel, 'app'>>;

export const deviceId = z.uuid().toLowerCase().describe('id of a device');

/** A subscription as `PushSubscription.toJSON()` of a browser gives it, without its `expirationTime`. */
export const webPush = z.object({
  endpoint: z
    .string()
    .max(outgoingUrlLength)
    .regex(/^https?:\/\//, 'expected a URL that begins with https:// or http://')
    .refine((text) => outgoingUrl(text) !== undefined, 'expected a URL without user, password and fragment')
    .describe('URL of the push service. `http` is for networks of PARLEY_OUTGOING_NETWORKS alone'),
  keys: z
    .object({
      p256dh: z
        .string()
        .regex(/^[A-Za-z0-9_-]{87}=?$/, 'expected 65 bytes as base64url')
        .describe('public key of the browser'),
      auth: z
        .string()
        .regex(/^[A-Za-z0-9_-]{22}(==)?$/, 'expected 16 bytes as base64url')
        .describe('secret of the subscription'),
    })
    .describe('keys that encrypt a push (RFC 8291)'),
});
export type WebPushSubscription = z.output<typeof webPush>;

export const deviceName = displayText(64).describe('text by which the user knows the device');

export const device = z
  .object({
    id: deviceId,
    kind: z.enum(deviceKinds),
    name: z.string().nullable(),
    created: instant,
    seen: instant.describe('the last registration'),
  })
  .meta({ id: 'Device' });
export type Device = z.output<typeof device>;
