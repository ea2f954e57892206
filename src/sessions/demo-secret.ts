import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const fileName = 'jwt-secret';
/** Apart from the secret of tokens, so that either of them can be changed alone. */
const uploadsFileName = 'upload-secret';
const pushFileName = 'vapid-private-key';

/**
 * The embedded demo signs its tokens with a separate secret that stays in the data folder, so that tokens outlive a
 * restart. Call it with the folder's lock held.
 */
export async function demoSecret(dataDir: string): Promise<string> {
  return keptSecret(join(dataDir, fileName));
}

/** The secret that signs the links of files in the embedded demo. */
export async function uploadSecret(dataDir: string): Promise<string> {
  return keptSecret(join(dataDir, uploadsFileName));
}

/** The key that identifies the embedded demo to push services. @param make makes the key of a new folder */
export async function pushKey(dataDir: string, make: () => string): Promise<string> {
  return keptSecret(join(dataDir, pushFileName), make);
}

async function keptSecret(path: string, make = (): string => randomBytes(48).toString('base64url')): Promise<string> {
  const kept = await readSecret(path);
  if (kept !== undefined) return kept;
  const secret = make();
  await writeFile(path, `${secret}\n`, { mode: 0o600 });
  return secret;
}

/** @returns undefined if no demo has run on this folder yet. */
export async function readDemoSecret(dataDir: string): Promise<string | undefined> {
  return readSecret(join(dataDir, fileName));
}

async function readSecret(path: string): Promise<string | undefined> {
  try {
    const kept = (await readFile(path, 'utf8')).trim();
    return Buffer.byteLength(kept) >= 32 ? kept : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
