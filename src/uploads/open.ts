/** Opens the store of the settings, and the uploads in it. */
import { openFolderStore } from './folder-store.ts';
import type { S3Settings } from './s3-store.ts';
import type { UploadStore } from './store.ts';
import { Uploads, type UploadSettings, type UploadsParts } from './uploads.ts';

export type StoreSettings =
  { readonly kind: 'folder'; readonly folder: string } | ({ readonly kind: 's3' } & S3Settings);

export async function openUploads(
  { store: place, ...settings }: UploadSettings & { readonly store: StoreSettings },
  parts: Omit<UploadsParts, 'settings' | 'store'>,
): Promise<Uploads> {
  return new Uploads({ ...parts, settings, store: await openStore(place, settings.orphanMs) });
}

async function openStore(place: StoreSettings, expirationMs: number): Promise<UploadStore> {
  if (place.kind === 'folder') return openFolderStore(place.folder, expirationMs);
  // the client of S3 is large, and few servers need it
  const { openS3Store } = await import('./s3-store.ts');
  return openS3Store(place, expirationMs);
}
