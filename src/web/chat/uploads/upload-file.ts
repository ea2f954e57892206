/** Sends one file to the server by the tus protocol. A cut is not an end: the client asks for the offset and goes on. */
import { session } from '../sign-in/session.ts';

/** A file that the server has whole, in the form of `body.files`. */
export interface Uploaded {
  readonly upload: string;
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
}

export interface Sending {
  readonly done: Promise<Uploaded>;
  /** Ends the upload, and removes it from the server. */
  readonly cancel: () => void;
}

const address = 'api/v1/uploads';
const chunkSize = 1024 * 1024;
/** The pauses before the attempts to go on after a cut. Progress begins the list again. */
const retryDelays = [200, 1000, 3000, 5000, 10_000, 20_000, 30_000];

export class UploadError extends Error {}

function authorization(): Record<string, string> {
  return { authorization: `Bearer ${session.peek()?.token ?? ''}` };
}

/** @returns the most bytes of a file; undefined: the server takes no uploads */
export async function maxUploadBytes(): Promise<number | undefined> {
  const answer = await fetch(address, { method: 'OPTIONS' }).catch(() => undefined);
  const most = Number(answer?.headers.get('tus-max-size') ?? 0);
  return most > 0 ? most : undefined;
}

export interface SendOptions {
  readonly onProgress: (share: number) => void;
  /** The address of an upload that has a part of the file. The server may have removed the upload: then a new one begins. */
  readonly from?: string | undefined;
  readonly onAddress?: (url: string) => void;
}

export function sendFile(file: Blob, name: string, { onProgress, from, onAddress }: SendOptions): Sending {
  let end: (() => void) | undefined;
  let isCancelled = false;
  const run = async (): Promise<Uploaded> => {
    // loaded with the first file, because most visits send none
    const { Upload } = await import('tus-js-client');
    if (isCancelled) throw new UploadError('Cancelled.');
    const url = await new Promise<string>((resolve, reject) => {
      const upload = new Upload(file, {
        endpoint: address,
        ...(from === undefined ? {} : { uploadUrl: from }),
        headers: authorization(),
        metadata: { filename: name },
        chunkSize,
        retryDelays,
        storeFingerprintForResuming: false,
        onProgress: (sent, total) => onProgress(total === 0 ? 0 : sent / total),
        onUploadUrlAvailable: () => upload.url !== null && onAddress?.(upload.url),
        onError: (error) => reject(new UploadError(reasonOf(error))),
        onSuccess: () => resolve(upload.url ?? ''),
      });
      end = () => {
        reject(new UploadError('Cancelled.'));
        // the server removes an upload that no message names, if this request is lost
        upload.abort(true).catch(() => {});
      };
      upload.start();
    });
    return stateOf(url);
  };
  return {
    done: run(),
    cancel: () => {
      isCancelled = true;
      end?.();
    },
  };
}

/** @returns the share of the file that the server has; undefined: the server has no such upload any more, or does not answer */
export async function shareAt(url: string): Promise<number | undefined> {
  const answer = await fetch(url, { headers: authorization() }).catch(() => undefined);
  if (answer?.ok !== true) return undefined;
  const { offset, bytes } = (await answer.json()) as { readonly offset: number; readonly bytes: number };
  return offset / bytes;
}

/** Whether the server has removed a complete upload. Without an answer the server may have it. */
export async function isRemoved(upload: string): Promise<boolean> {
  const answer = await fetch(`${address}/${upload}`, { headers: authorization() }).catch(() => undefined);
  return answer?.status === 404;
}

/** Removes an upload that this page does not send any more. The server does so after a day, if this request is lost. */
export function discard(upload: string): void {
  fetch(`${address}/${upload}`, { method: 'DELETE', headers: { ...authorization(), 'tus-resumable': '1.0.0' } }).catch(
    () => {},
  );
}

/** The server knows the type of the file by its content. */
async function stateOf(url: string): Promise<Uploaded> {
  const answer = await fetch(url, { headers: authorization() });
  const { id, name, type, bytes, detail } = (await answer.json()) as Record<string, string & number>;
  if (!answer.ok || id === undefined || name === undefined || type === undefined || bytes === undefined) {
    throw new UploadError(detail ?? `The server answered ${answer.status}.`);
  }
  return { upload: id, name, type, bytes };
}

/** The sentence of the server, if it has answered. */
function reasonOf(error: unknown): string {
  const { originalResponse } = error as { originalResponse?: { getBody(): string } | null };
  try {
    const { detail } = JSON.parse(originalResponse?.getBody() ?? '') as { detail?: unknown };
    if (typeof detail === 'string') return detail;
  } catch {
    // no answer, or one of a proxy
  }
  return 'The server cannot be reached.';
}
