/** The size of an image, and a small copy of it for the timeline. Both are made here, so that the server decodes no images. */

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Undefined: the image is small itself. */
  readonly thumbnail: Blob | undefined;
}

const longestSide = 640;
const smallBytes = 150_000;

/** @returns undefined for a file that this browser cannot show as an image */
export async function pictureOf(file: File): Promise<Picture | undefined> {
  if (!file.type.startsWith('image/')) return undefined;
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  if (bitmap === undefined) return undefined;
  try {
    const { width, height } = bitmap;
    const scale = longestSide / Math.max(width, height);
    const isSmall = file.size <= smallBytes && scale >= 1;
    return { width, height, thumbnail: isSmall ? undefined : await scaled(bitmap, Math.min(1, scale)) };
  } finally {
    bitmap.close();
  }
}

async function scaled(bitmap: ImageBitmap, scale: number): Promise<Blob | undefined> {
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.round(bitmap.width * scale)),
    Math.max(1, Math.round(bitmap.height * scale)),
  );
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: 'image/webp', quality: 0.8 }).catch(() => undefined);
}
