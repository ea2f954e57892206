/** Browser storage, which may be full, forbidden or edited by hand. Then these functions treat it as empty. */
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
    // Without storage the value lasts as long as the page.
  }
}
