/** Messages: the writer, edits, and the files that messages name. */
import { bytes, hostPattern, list, mediaType, number } from '../values.ts';
import { key, optional } from './key.ts';

export const messageKeys = {
  writerQueue: key(
    'PARLEY_WRITER_QUEUE',
    'Messages, changes of messages and pins that may wait for their commit. Above the limit, and above the share of a user, the node refuses them with `overloaded`.',
    number(10, 10_000_000),
    '20000',
  ),
  writerBatch: key('PARLEY_WRITER_BATCH', 'Messages in one commit.', number(1, 5000), '500'),
  writerBatchBytes: key(
    'PARLEY_WRITER_BATCH_BYTES',
    'Bytes of the bodies in one commit of messages or of edits. If more wait, users take turns. A letter counts as one byte or two.',
    bytes(1024, 2 ** 30),
    '128k',
  ),
  writerStripes: optional(
    'PARLEY_WRITER_STRIPES',
    'Concurrent commits. Default: 2, in the embedded demo 1.',
    number(1, 64),
  ),
  editWindowMs: key(
    'PARLEY_EDIT_WINDOW_MS',
    'Time after sending in which the author may edit a message, in rooms without such a setting. 0: no limit. Owners and admins may always edit.',
    number(0, 10 * 365 * 86_400_000),
    '0',
  ),
  attachmentHosts: optional(
    'PARLEY_ATTACHMENT_HOSTS',
    'Hosts of the files that messages name, separated by commas: names, `*.example.com` for all names below one, `*` for any. ' +
      'That host sees the address of every reader. Unset: none; in the embedded demo this machine, also by http.',
    list(hostPattern()),
  ),
  attachmentTypes: key(
    'PARLEY_ATTACHMENT_TYPES',
    'Media types of such files, separated by commas; `image/*` for a kind. SVG and HTML can carry scripts.',
    list(mediaType()),
    'image/avif,image/gif,image/jpeg,image/png,image/webp,audio/*,video/*,application/pdf,application/zip,text/csv,text/plain',
  ),
  attachmentMaxBytes: key(
    'PARLEY_ATTACHMENT_MAX_BYTES',
    'Largest size that a message may state for such a file.',
    bytes(1, 2 ** 50),
    '100m',
  ),
} as const;
