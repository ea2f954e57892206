/** The devices of a user, which get pushes. */
import { z } from 'zod';
import type { Declarations } from '../command-schema.ts';
import { device, deviceId, deviceName, webPush } from '../devices.ts';

export const deviceCommands = {
  'device:register': {
    about:
      'Registers this device for pushes, by the subscription of its browser. Registering again changes nothing, and shows that ' +
      'the device is in use. A subscription that another user registered is yours from then on. `not_found`: the server ' +
      'sends no pushes.',
    kind: 'write',
    weight: 2,
    scope: 'notifications',
    http: { method: 'POST', path: '/devices' },
    input: z.object({ web: webPush, name: deviceName.optional() }),
    output: z.object({ device }),
    errors: ['not_found', 'limit_reached'],
  },
  'device:list': {
    about:
      'Your devices, the oldest first, and `key`, with which a browser subscribes (`applicationServerKey`). Without a key ' +
      'the server sends no pushes.',
    kind: 'read',
    weight: 1,
    scope: 'notifications',
    http: { method: 'GET', path: '/devices' },
    answer: 'list',
    input: z.object({}),
    output: z.object({ devices: z.array(device), key: z.string().nullable() }),
    errors: [],
  },
  'device:remove': {
    about: 'Removes a device of yours, which gets no further push. A device that is not there is no error.',
    kind: 'write',
    weight: 1,
    scope: 'notifications',
    http: { method: 'DELETE', path: '/devices/{id}' },
    input: z.object({ id: deviceId }),
    output: z.object({}),
    errors: [],
  },
} as const satisfies Declarations;
