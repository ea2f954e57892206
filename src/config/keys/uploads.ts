/** Uploads: the store of the files, its limits, and the links by which files are read. */
import { bytes, list, mediaType, number, oneOf, text, url } from '../values.ts';
import { key, optional, secret } from './key.ts';

export const uploadKeys = {
  uploadStore: optional(
    'PARLEY_UPLOAD_STORE',
    'Where uploaded files are kept: `folder`, `s3`, or `off`. Default: off; in the embedded demo `folder`.',
    oneOf('off', 'folder', 's3'),
  ),
  uploadFolder: optional(
    'PARLEY_UPLOAD_FOLDER',
    'Folder of uploaded files. All nodes need the same folder. Default: `uploads` in PARLEY_DATA_DIR.',
    text(1, 4096),
  ),
  uploadBucket: optional('PARLEY_UPLOAD_BUCKET', 'Bucket of uploaded files in the S3 store.', text(3, 63)),
  uploadRegion: key('PARLEY_UPLOAD_REGION', 'Region of the S3 store.', text(1, 64), 'us-east-1'),
  uploadEndpoint: optional(
    'PARLEY_UPLOAD_ENDPOINT',
    'URL of an S3-compatible server. Unset: Amazon S3 of the region.',
    url('https:', 'http:'),
  ),
  uploadAccessKey: secret('PARLEY_UPLOAD_ACCESS_KEY', 'Access key of the S3 store.', text(1, 256)),
  uploadSecretKey: secret('PARLEY_UPLOAD_SECRET_KEY', 'Secret key of the S3 store.', text(1, 256)),
  uploadSecret: secret(
    'PARLEY_UPLOAD_SECRET',
    'Secret that signs the links of files, at least 32 bytes, the same on all nodes. In the embedded demo the data folder keeps one.',
    text(32, 4096),
  ),
  uploadMaxBytes: key('PARLEY_UPLOAD_MAX_BYTES', 'Largest size of one uploaded file.', bytes(1, 16 * 2 ** 30), '256m'),
  uploadMaxBytesPerUser: key(
    'PARLEY_UPLOAD_MAX_BYTES_PER_USER',
    'Bytes of all uploaded files of one user. An unfinished file counts with its whole size.',
    bytes(1, 2 ** 50),
    '1g',
  ),
  uploadMaxOpenPerUser: key(
    'PARLEY_UPLOAD_MAX_OPEN_PER_USER',
    'Unfinished uploads of one user.',
    number(1, 10_000),
    '20',
  ),
  uploadMaxTransfers: key(
    'PARLEY_UPLOAD_MAX_TRANSFERS',
    'Requests that send or read the bytes of a file at a time in one process. One user or one IP address may have an eighth of them.',
    number(8, 100_000),
    '200',
  ),
  uploadTypes: key(
    'PARLEY_UPLOAD_TYPES',
    'Media types of uploaded files, separated by commas; `image/*` for a kind. The content of a file decides its type, and every text is `text/plain`.',
    list(mediaType()),
    'image/avif,image/gif,image/jpeg,image/png,image/webp,audio/*,video/*,application/pdf,application/zip,application/gzip,application/vnd.openxmlformats-officedocument.wordprocessingml.document,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet,application/vnd.openxmlformats-officedocument.presentationml.presentation,text/plain',
  ),
  uploadLinkMs: key(
    'PARLEY_UPLOAD_LINK_MS',
    'How long a signed link to a file works. A user that leaves the room can use a link until its end.',
    number(1000, 7 * 86_400_000),
    '900000',
  ),
  uploadOrphanMs: key(
    'PARLEY_UPLOAD_ORPHAN_MS',
    'How long an unfinished upload, or a file that no message names, is kept.',
    number(1000, 365 * 86_400_000),
    '86400000',
  ),
  uploadSweepEveryMs: key(
    'PARLEY_UPLOAD_SWEEP_EVERY_MS',
    'Pause between two searches for files that no message names.',
    number(100, 7 * 86_400_000),
    '600000',
  ),
} as const;
