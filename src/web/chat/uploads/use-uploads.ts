/** The files that wait beside a text until it is sent. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { MessageFile } from '../text/body.ts';
import { say } from '../../ui/toast.tsx';
import { sizeInWords } from '../text/body.ts';
import { pictureOf } from './thumbnail.ts';
import { maxUploadBytes, sendFile, type Sending } from './upload-file.ts';

/** `sending` ── the last byte ──▶ `ready`; `sending` ── a refusal, or no way to the server for a minute ──▶ `failed`. */
export interface PendingFile {
  readonly key: number;
  readonly name: string;
  readonly bytes: number;
  readonly state: 'sending' | 'ready' | 'failed';
  /** From 0 to 1. */
  readonly share: number;
  readonly error?: string;
  readonly file?: MessageFile;
}

export interface Uploads {
  readonly files: readonly PendingFile[];
  /** The server takes files. */
  readonly offered: boolean;
  readonly add: (files: Iterable<File>) => void;
  readonly remove: (key: number) => void;
  /** The files are in a message now. */
  readonly clear: () => void;
}

/** The limit of the server for one message. */
const mostFiles = 10;
let keys = 0;

let offer: Promise<number | undefined> | undefined;

export function useUploads(): Uploads {
  const [files, setFiles] = useState<readonly PendingFile[]>([]);
  const [most, setMost] = useState<number>();
  const running = useRef(new Map<number, () => void>());
  useEffect(() => {
    let isHere = true;
    offer ??= maxUploadBytes();
    void offer.then((bytes) => isHere && setMost(bytes));
    return () => {
      isHere = false;
      // the room is left: nobody waits for these files any more
      for (const cancel of running.current.values()) cancel();
    };
  }, []);
  const change = (key: number, changed: Partial<PendingFile>): void =>
    setFiles((before) => before.map((one) => (one.key === key ? { ...one, ...changed } : one)));

  const begin = (file: File): PendingFile => {
    const key = ++keys;
    const { name, size: bytes } = file;
    if (most !== undefined && bytes > most) {
      return { key, name, bytes, share: 0, state: 'failed', error: `A file may have ${sizeInWords(most)}.` };
    }
    const parts: Sending[] = [];
    const send = (blob: Blob, as: string, progress: (share: number) => void): Sending['done'] => {
      const sending = sendFile(blob, as, progress);
      parts.push(sending);
      return sending.done;
    };
    running.current.set(key, () => parts.forEach(({ cancel }) => cancel()));
    void complete(file, send, (share) => change(key, { share }))
      .then((done) => change(key, { state: 'ready', share: 1, file: done }))
      .catch((thrown: Error) => change(key, { state: 'failed', error: thrown.message }));
    return { key, name, bytes, share: 0, state: 'sending' };
  };

  return {
    files,
    offered: most !== undefined,
    add: (added) => {
      const all = [...added];
      const free = mostFiles - files.length;
      if (all.length > free) say(`A message may have ${mostFiles} files.`);
      const begun = all.slice(0, Math.max(0, free)).map(begin);
      setFiles((before) => [...before, ...begun]);
    },
    remove: (key) => {
      running.current.get(key)?.();
      running.current.delete(key);
      setFiles((before) => before.filter((one) => one.key !== key));
    },
    clear: () => {
      running.current.clear();
      setFiles([]);
    },
  };
}

type Send = (blob: Blob, name: string, progress: (share: number) => void) => Sending['done'];

async function complete(file: File, send: Send, progress: (share: number) => void): Promise<MessageFile> {
  const picture = await pictureOf(file);
  const whole = await send(file, file.name, progress);
  if (picture === undefined || !whole.type.startsWith('image/')) return whole;
  const { width, height, thumbnail } = picture;
  if (thumbnail === undefined) return { ...whole, width, height };
  const ending = thumbnail.type.slice('image/'.length);
  const { upload } = await send(thumbnail, `thumbnail.${ending}`, () => {});
  return { ...whole, width, height, thumbnail: upload };
}
