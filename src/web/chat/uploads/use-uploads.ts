/** The files that wait beside a text until it is sent. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { MessageFile } from '../text/body.ts';
import { say } from '../../ui/toast.tsx';
import { sizeInWords } from '../text/body.ts';
import { isSame, readFiles, writeFiles, type KeptFile } from './kept-files.ts';
import { pictureOf } from './thumbnail.ts';
import { discard, isRemoved, maxUploadBytes, sendFile, shareAt, type Sending } from './upload-file.ts';

/**
 * `sending` ── the last byte ──▶ `ready`; `sending` ── a refusal, or no way to the server for a minute ──▶ `failed`;
 * `sending` ── a reload of the page ──▶ `paused` ── the user chooses the file again ──▶ `sending`.
 */
export interface PendingFile extends KeptFile {
  readonly key: number;
  readonly state: 'sending' | 'paused' | 'ready' | 'failed';
  /** From 0 to 1. */
  readonly share: number;
  readonly error?: string;
}

export interface Uploads {
  readonly files: readonly PendingFile[];
  /** The server takes files. */
  readonly offered: boolean;
  readonly add: (files: Iterable<File>) => void;
  /** Goes on with a paused file. */
  readonly resume: (key: number, file: File) => void;
  readonly remove: (key: number) => void;
  /** The files are in a message now. */
  readonly clear: () => void;
}

/** The limit of the server for one message. */
const mostFiles = 10;
let keys = 0;

let offer: Promise<number | undefined> | undefined;

type Change = (key: number, changed: Partial<PendingFile>) => void;

/** @param draft the key of the draft beside the files */
export function useUploads(draft: string): Uploads {
  const [files, setFiles] = useState(() => restored(draft));
  const [most, setMost] = useState<number>();
  const running = useRef(new Map<number, () => void>());
  // the files as of the last gesture, which the page may not have drawn yet
  const now = useRef(files);
  now.current = files;
  const change: Change = (key, changed) =>
    setFiles((before) => before.map((one) => (one.key === key ? { ...one, ...changed } : one)));
  useEffect(() => writeFiles(draft, files), [draft, files]);
  useEffect(() => {
    let isHere = true;
    offer ??= maxUploadBytes();
    void offer.then((bytes) => isHere && setMost(bytes));
    for (const file of now.current) void compare(file, (key, changed) => isHere && change(key, changed));
    return () => {
      isHere = false;
      // the room is left: nobody waits for these files any more
      for (const cancel of running.current.values()) cancel();
      if (readFiles(draft).length > 0)
        writeFiles(
          draft,
          now.current.filter(({ state }) => state !== 'sending'),
        );
    };
  }, []);

  const start = (key: number, file: File, from?: string): void => {
    const parts: Sending[] = [];
    const send: Send = (blob, as, options) => {
      const sending = sendFile(blob, as, options);
      parts.push(sending);
      return sending.done;
    };
    running.current.set(key, () => parts.forEach(({ cancel }) => cancel()));
    void complete(file, send, {
      from,
      onProgress: (share) => change(key, { share }),
      onAddress: (url) => change(key, { url }),
    })
      .then((done) => change(key, { state: 'ready', share: 1, file: done }))
      .catch((thrown: Error) => change(key, { state: 'failed', error: thrown.message }))
      .finally(() => running.current.delete(key));
  };
  const begin = (file: File): PendingFile => {
    const key = ++keys;
    const about = { key, name: file.name, bytes: file.size, modified: file.lastModified, share: 0 };
    if (most !== undefined && file.size > most) {
      return { ...about, state: 'failed', error: `A file may have ${sizeInWords(most)}.` };
    }
    start(key, file);
    return { ...about, state: 'sending' };
  };
  /** One gesture may hold the same file twice, and a second gesture may come before the page has drawn the first. */
  const goOn = ({ key, url }: PendingFile, file: File): void => {
    if (running.current.has(key)) return;
    change(key, { state: 'sending' });
    start(key, file, url);
  };

  return {
    files,
    offered: most !== undefined,
    add: (added) => {
      const paused = now.current.filter(({ state }) => state === 'paused');
      const fresh = [...added].filter((file) => {
        const same = paused.find((one) => isSame(one, file));
        if (same !== undefined) goOn(same, file);
        return same === undefined;
      });
      const free = mostFiles - now.current.length;
      if (fresh.length > free) say(`A message may have ${mostFiles} files.`);
      const begun = fresh.slice(0, Math.max(0, free)).map(begin);
      now.current = [...now.current, ...begun];
      setFiles((before) => [...before, ...begun]);
    },
    resume: (key, file) => {
      const paused = files.find((one) => one.key === key);
      if (paused === undefined) return;
      if (isSame(paused, file)) goOn(paused, file);
      else say(`This is another file. Choose ${paused.name} again as it was, or remove it.`);
    },
    remove: (key) => {
      const cancel = running.current.get(key);
      running.current.delete(key);
      if (cancel === undefined) discardAll(files.find((one) => one.key === key));
      else cancel();
      setFiles((before) => before.filter((one) => one.key !== key));
    },
    clear: () => {
      running.current.clear();
      setFiles([]);
    },
  };
}

function restored(draft: string): readonly PendingFile[] {
  return readFiles(draft).map((kept) => {
    const isReady = kept.file !== undefined;
    return { ...kept, key: ++keys, state: isReady ? 'ready' : 'paused', share: isReady ? 1 : 0 };
  });
}

/** The server may have removed a file since the last visit, and knows how much of an unfinished one it has. */
async function compare({ key, state, url, file }: PendingFile, change: Change): Promise<void> {
  if (state === 'ready' && file !== undefined && (await isRemoved(file.upload))) {
    const error = 'The server has removed this file. Remove it here, and attach it again.';
    change(key, { state: 'failed', error });
  }
  if (state !== 'paused' || url === undefined) return;
  const share = await shareAt(url);
  if (share !== undefined) change(key, { share });
}

/** A file that the page does not send now, and its thumbnail. */
function discardAll({ url, file }: Partial<PendingFile> = {}): void {
  const uploads = new Set([url?.split('/').at(-1), file?.upload, file?.thumbnail]);
  for (const upload of uploads) if (upload !== undefined) discard(upload);
}

type Options = Parameters<typeof sendFile>[2];
type Send = (blob: Blob, name: string, options: Options) => Sending['done'];

async function complete(file: File, send: Send, options: Options): Promise<MessageFile> {
  const picture = await pictureOf(file);
  const whole = await send(file, file.name, options);
  if (picture === undefined || !whole.type.startsWith('image/')) return whole;
  const { width, height, thumbnail } = picture;
  if (thumbnail === undefined) return { ...whole, width, height };
  const ending = thumbnail.type.slice('image/'.length);
  const { upload } = await send(thumbnail, `thumbnail.${ending}`, { onProgress: () => {} });
  return { ...whole, width, height, thumbnail: upload };
}
