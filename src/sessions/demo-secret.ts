import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const fileName = 'jwt-secret';

/**
 * The embedded demo signs its tokens with a separate secret that stays in the data folder, so that tokens outlive a
 * restart. Call it with the folder's lock held.
 */
export async function demoSecret(dataDir: string): Promise<string> {
  const kept = await readDemoSecret(dataDir);
  if (kept !== undefined) return kept;
  const secret = randomBytes(48).toString('base64url');
  await writeFile(join(dataDir, fileName), `${secret}\n`, { mode: 0o600 });
  return secret;
}

/** @returns undefined if no demo has run on this folder yet. */
export async function readDemoSecret(dataDir: string): Promise<string | undefined> {
  try {
    const kept = (await readFile(join(dataDir, fileName), 'utf8')).trim();
    return Buffer.byteLength(kept) >= 32 ? kept : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
