/** What is used of a browser, as far as it is there: Node's types have none of it. */
interface Target {
  addEventListener?(type: string, listener: (event: object) => void): void;
  removeEventListener?(type: string, listener: (event: object) => void): void;
}

interface Locks {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    granted: () => Promise<void>,
  ): Promise<void>;
}

interface Channel {
  postMessage(message: string): void;
  close(): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
}

interface Page extends Target {
  readonly document?: Target & { readonly visibilityState: string };
  readonly navigator?: { readonly locks?: Locks };
  readonly BroadcastChannel?: new (name: string) => Channel;
}

const page = globalThis as unknown as Page;

export type { Channel, Locks };

/** @returns what ends it. Where there is no such thing, nothing happens. */
export function listen(on: 'window' | 'document', type: string, listener: (event: object) => void): () => void {
  const target = on === 'window' ? page : page.document;
  target?.addEventListener?.(type, listener);
  return () => target?.removeEventListener?.(type, listener);
}

/** What tabs need to share: there in all browsers, but on secure origins (https, localhost) only. */
export function sharing(): { readonly locks: Locks; channel(name: string): Channel } | undefined {
  const { document, navigator, BroadcastChannel } = page;
  const locks = navigator?.locks;
  if (document === undefined || locks === undefined || BroadcastChannel === undefined) return undefined;
  return { locks, channel: (name) => new BroadcastChannel(name) };
}
