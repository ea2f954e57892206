/** The parts of a body that the protocol defines besides its text: files and encrypted content. */

export interface Attachment {
  readonly url: string;
  readonly type: string;
  readonly size: number;
  readonly name?: string;
  readonly width?: number;
  readonly height?: number;
}

function field(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
}

/** The server checks the form of attachments; an older server does not. */
export function attachmentsOf(body: unknown): readonly Attachment[] {
  const list = field(body, 'attachments');
  return Array.isArray(list) ? list.filter(isAttachment) : [];
}

function isAttachment(value: unknown): value is Attachment {
  return (
    typeof field(value, 'url') === 'string' &&
    typeof field(value, 'type') === 'string' &&
    typeof field(value, 'size') === 'number'
  );
}

/** A file that its sender has uploaded to this server. */
export interface MessageFile {
  readonly upload: string;
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  readonly width?: number;
  readonly height?: number;
  /** Another upload: a small image of the file. */
  readonly thumbnail?: string;
}

export function filesOf(body: unknown): readonly MessageFile[] {
  const list = field(body, 'files');
  return Array.isArray(list) ? list.filter(isMessageFile) : [];
}

function isMessageFile(value: unknown): value is MessageFile {
  return (
    typeof field(value, 'upload') === 'string' &&
    typeof field(value, 'name') === 'string' &&
    typeof field(value, 'type') === 'string' &&
    typeof field(value, 'bytes') === 'number'
  );
}

export function encryptedOf(body: unknown): { readonly alg: string; readonly kid: string } | undefined {
  const envelope = field(body, 'encrypted');
  const [alg, kid] = [field(envelope, 'alg'), field(envelope, 'kid')];
  return typeof alg === 'string' && typeof kid === 'string' ? { alg, kid } : undefined;
}

export function nameOfFile({ name, url }: Attachment): string {
  return name ?? lastPartOf(addressOfFile(url)) ?? url;
}

function lastPartOf(address: URL | undefined): string | undefined {
  const part = address?.pathname.split('/').findLast((one) => one !== '');
  try {
    return part && decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a file, unless the scheme is not one of the web. */
export function addressOfFile(url: string): URL | undefined {
  if (!URL.canParse(url, location.href)) return undefined;
  const address = new URL(url, location.href);
  return /^https?:$/u.test(address.protocol) ? address : undefined;
}

const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];

export function sizeInWords(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ''}`;
}
