/** The parts of a browser that the client uses; Node's types have none of them. */
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

/** @returns a function that removes the listener. Without such a target it does nothing. */
export function listen(on: 'window' | 'document', type: string, listener: (event: object) => void): () => void {
  const target = on === 'window' ? page : page.document;
  target?.addEventListener?.(type, listener);
  return () => target?.removeEventListener?.(type, listener);
}

/** Whether the page is on the screen. Without a page: true. */
export function isVisible(): boolean {
  return page.document === undefined || page.document.visibilityState === 'visible';
}

/**
 * The browser's means for tabs that share a connection. All browsers have them, on secure origins (https, localhost)
 * only.
 */
export function sharing(): { readonly locks: Locks; channel(name: string): Channel } | undefined {
  const { document, navigator, BroadcastChannel } = page;
  const locks = navigator?.locks;
  if (document === undefined || locks === undefined || BroadcastChannel === undefined) return undefined;
  return { locks, channel: (name) => new BroadcastChannel(name) };
}
