/** Browser storage that may be full, forbidden or edited by hand: then it is as if it were empty. */
export function readStored(storage: Storage, key: string): unknown {
  try {
    const json = storage.getItem(key);
    return json === null ? undefined : (JSON.parse(json) as unknown);
  } catch {
    return undefined;
  }
}

export function writeStored(storage: Storage, key: string, value: unknown): void {
  try {
    if (value === undefined) storage.removeItem(key);
    else storage.setItem(key, JSON.stringify(value));
  } catch {
    // It lasts as long as the page, then.
  }
}
