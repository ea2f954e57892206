import type { JSX } from 'preact';
import { Icon } from '../../ui/icons.tsx';
import { sizeInWords } from '../text/body.ts';
import type { PendingFile, Uploads } from './use-uploads.ts';

/** The files above the field, each with its progress and a button that removes it. */
export function PendingFiles({ files, remove }: Pick<Uploads, 'files' | 'remove'>): JSX.Element | null {
  if (files.length === 0) return null;
  return (
    <ul class="pending-files" aria-label="Files to send">
      {files.map((file) => (
        <li key={file.key} class="pending-file" data-state={file.state}>
          <Icon name="file" size={18} />
          <span class="file-about">
            <span class="file-name" dir="auto">
              {file.name}
            </span>
            <State file={file} />
          </span>
          <button
            class="icon-button tiny"
            type="button"
            onClick={() => remove(file.key)}
            aria-label={file.state === 'sending' ? `Cancel ${file.name}` : `Remove ${file.name}`}
          >
            <Icon name="close" size={16} />
          </button>
        </li>
      ))}
    </ul>
  );
}

function State({ file: { name, state, share, bytes, error } }: { file: PendingFile }): JSX.Element {
  if (state === 'failed') {
    return (
      <span class="small-text error" role="alert">
        {error}
      </span>
    );
  }
  if (state === 'ready') return <span class="small-text muted">{sizeInWords(bytes)}</span>;
  return (
    <progress aria-label={`Upload of ${name}`} max={100} value={Math.round(share * 100)}>
      {Math.round(share * 100)} %
    </progress>
  );
}
