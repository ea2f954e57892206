import { useEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../../ui/icons.tsx';
import { say } from '../../ui/toast.tsx';
import { sizeInWords, type MessageFile } from '../text/body.ts';
import { linkTo } from './file-links.ts';

/** A file of this server: an image, or a chip with its name. */
export function UploadCard({ file }: { file: MessageFile }): JSX.Element {
  const isImage = file.type.startsWith('image/') && file.width !== undefined;
  const open = (): void => {
    void linkTo(file.upload).then((url) => {
      if (url === undefined) return say('This file is not there any more.');
      const anchor = document.createElement('a');
      Object.assign(anchor, { href: url, target: '_blank', rel: 'noopener' });
      anchor.click();
    });
  };
  return (
    <button class="file" type="button" onClick={open} aria-label={`Open ${file.name}`}>
      {isImage ? (
        <Preview file={file} />
      ) : (
        <span class="file-sign">
          <Icon name="file" size={20} />
        </span>
      )}
      <span class="file-about">
        <span class="file-name" dir="auto">
          {file.name}
        </span>
        <span class="small-text">
          {file.type} · {sizeInWords(file.bytes)}
        </span>
      </span>
    </button>
  );
}

/** Takes the place of the image at once, and loads it when it comes into view. */
function Preview({ file }: { file: MessageFile }): JSX.Element {
  const place = useRef<HTMLImageElement>(null);
  const [url, setUrl] = useState<string>();
  const upload = file.thumbnail ?? file.upload;
  useEffect(() => {
    const { current } = place;
    if (current === null) return undefined;
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      watch.disconnect();
      void linkTo(upload).then(setUrl);
    });
    watch.observe(current);
    return () => watch.disconnect();
  }, [upload]);
  return <img ref={place} src={url ?? blank} alt="" width={file.width} height={file.height} />;
}

/** One transparent pixel: an image without a source has no size. */
const blank = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
