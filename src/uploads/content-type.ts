/**
 * The type of a file by its content. Names and headers of clients do not decide, because a browser of a reader may run a page
 * that calls itself an image. Every text is `text/plain`, also HTML and SVG, and is never shown inside a page.
 */
import { fileTypeFromBuffer } from 'file-type';

/** Bytes at the beginning that decide. Formats of archives and films have their marks within them. */
export const decidingBytes = 4100;

const text = 'text/plain';
/** Formats that are text to their readers, and that a browser could run. */
const markup = new Set([
  'application/xml',
  'application/rtf',
  'image/svg+xml',
  'text/html',
  'text/calendar',
  'text/vcard',
]);

/** The types whose content a name with the ending may have. A name with another ending says nothing about its content. */
const endings: Readonly<Record<string, readonly string[]>> = {
  png: ['image/png', 'image/apng'],
  apng: ['image/png', 'image/apng'],
  jpg: ['image/jpeg'],
  jpeg: ['image/jpeg'],
  gif: ['image/gif'],
  webp: ['image/webp'],
  avif: ['image/avif', 'image/avif-sequence'],
  pdf: ['application/pdf'],
  zip: ['application/zip'],
  gz: ['application/gzip'],
  mp3: ['audio/'],
  m4a: ['audio/', 'video/'],
  wav: ['audio/'],
  flac: ['audio/'],
  ogg: ['audio/', 'video/', 'application/ogg'],
  opus: ['audio/'],
  mp4: ['video/', 'audio/'],
  mov: ['video/'],
  webm: ['video/', 'audio/'],
  docx: ['application/vnd.openxmlformats-officedocument.wordprocessingml.document', 'application/zip'],
  xlsx: ['application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', 'application/zip'],
  pptx: ['application/vnd.openxmlformats-officedocument.presentationml.presentation', 'application/zip'],
  txt: [text],
  md: [text],
  csv: [text],
  json: [text],
  log: [text],
  html: [text],
  htm: [text],
  svg: [text],
  xml: [text],
};

/** @param bytes the beginning of the file, or all of it */
export async function typeOf(bytes: Uint8Array): Promise<string> {
  const found = await fileTypeFromBuffer(bytes);
  if (found !== undefined) return markup.has(found.mime) ? text : found.mime;
  return isText(bytes) ? text : 'application/octet-stream';
}

/** Whether the ending of the name promises another content. */
export function contradicts(name: string, type: string): boolean {
  const dot = name.lastIndexOf('.');
  const known = dot === -1 ? undefined : endings[name.slice(dot + 1).toLowerCase()];
  return known !== undefined && !known.some((one) => type === one || (one.endsWith('/') && type.startsWith(one)));
}

export function isAllowed(type: string, allowed: readonly string[]): boolean {
  return allowed.includes(type) || allowed.includes(`${type.slice(0, type.indexOf('/'))}/*`);
}

/** UTF-8 without the control characters that no text has. A character may be cut off at the end. */
function isText(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return false;
  }
  return !bytes.some(
    (byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0c && byte !== 0x0d && byte !== 0x1b,
  );
}
