/** Uploads over REST. */
import { RestError } from '../../protocol/rest-errors.ts';
import type { HttpRoute } from '../../protocol/http-route.ts';
import { uploadRoutes } from '../../protocol/routes/uploads.ts';
import { tusExtensions, tusVersion } from '../../uploads/protocol.ts';
import { uploadsPath, type UploadRequest, type Uploads, type UploadState } from '../../uploads/uploads.ts';
import { callerOf, requireRooms, type ActingParts, type Identity } from '../identity.ts';
import { Reply, type ApiRequest, type RouteHandlers } from '../operation.ts';

export interface UploadRouteParts extends ActingParts {
  /** Undefined: the server takes no uploads. */
  readonly uploads: Uploads | undefined;
}

export function uploadHandlers(parts: UploadRouteParts): RouteHandlers<typeof uploadRoutes> {
  const uploads = (): Uploads => {
    if (parts.uploads === undefined) throw new RestError('unsupported', 'This server takes no uploads.');
    return parts.uploads;
  };
  const userOf = async (
    identity: Identity,
    { http, scope }: { http: HttpRoute; scope: 'publish' },
  ): Promise<string> => {
    // an upload is of no room, so that a key for some rooms cannot make one
    requireRooms(identity, scope, []);
    return (await callerOf(identity, http, [], parts)).user.id;
  };
  return {
    'upload:create': async (request) => {
      const user = await userOf(request.identity, uploadRoutes['upload:create']);
      const state = await uploads().create(requestOf(request, user));
      const headers = { ...headersOf(state), Location: `${uploadsPath}/${state.id}`, 'Cache-Control': 'no-store' };
      return new Reply(shown(state), { headers });
    },
    'upload:get': async ({ identity, input: { id } }) => {
      const user = await userOf(identity, uploadRoutes['upload:get']);
      const state = await uploads().state(user, id);
      // the offset of an answer that was kept would be wrong
      return new Reply(shown(state), { headers: { ...headersOf(state), 'Cache-Control': 'no-store' } });
    },
    'upload:append': async (request) => {
      const user = await userOf(request.identity, uploadRoutes['upload:append']);
      const state = await uploads().append(request.input.id, requestOf(request, user));
      return new Reply(undefined, { headers: headersOf(state) });
    },
    'upload:delete': async ({ identity, input: { id } }) => {
      const user = await userOf(identity, uploadRoutes['upload:delete']);
      await uploads().terminate(user, id);
      return new Reply(undefined);
    },
    'upload:link': async ({ identity, input: { id } }) => {
      const { http, scope } = uploadRoutes['upload:link'];
      if (identity.kind === 'key' && !identity.key.everyRoom) {
        requireRooms(identity, scope, await roomOf(parts.uploads, id));
      }
      const user = (await callerOf(identity, http, [], parts)).user.id;
      return uploads().link(user, await uploads().readable(user, id));
    },
  };
}

function requestOf({ header, body }: ApiRequest, user: string): UploadRequest {
  return { user, header, body };
}

/** The room of the message that names a file. */
async function roomOf(uploads: Uploads | undefined, id: string): Promise<readonly string[]> {
  const row = await uploads?.readable('', id);
  return row === undefined || row.room === null ? [] : [row.room];
}

/** The headers of OPTIONS, by which a client of the tus protocol finds out about the server. */
export function uploadDiscovery(uploads: Uploads | undefined): ReadonlyMap<string, Readonly<Record<string, string>>> {
  if (uploads === undefined) return new Map();
  const headers = {
    'Tus-Resumable': tusVersion,
    'Tus-Version': tusVersion,
    'Tus-Extension': tusExtensions,
    'Tus-Max-Size': String(uploads.settings.maxBytes),
  };
  return new Map([[uploadsPath, headers]]);
}

function headersOf({ offset, bytes, name, expires }: UploadState): Record<string, string> {
  return {
    'Upload-Offset': String(offset),
    'Upload-Length': String(bytes),
    'Upload-Metadata': `filename ${Buffer.from(name).toString('base64')}`,
    ...(expires === undefined ? {} : { 'Upload-Expires': new Date(expires).toUTCString() }),
  };
}

function shown({ id, name, bytes, offset, type, state, expires }: UploadState): object {
  return { id, name, bytes, offset, type, complete: state === 'complete', expires: expires ?? null };
}
