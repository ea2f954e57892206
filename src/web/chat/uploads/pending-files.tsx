import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { Icon } from '../../ui/icons.tsx';
import { sizeInWords } from '../text/body.ts';
import type { PendingFile, Uploads } from './use-uploads.ts';

/** The files above the field, each with its progress and a button that removes it. */
export function PendingFiles({
  files,
  remove,
  resume,
}: Pick<Uploads, 'files' | 'remove' | 'resume'>): JSX.Element | null {
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
            <State file={file} resume={(chosen) => resume(file.key, chosen)} />
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

function State({ file, resume }: { file: PendingFile; resume: (file: File) => void }): JSX.Element {
  const { name, state, share, bytes, error } = file;
  if (state === 'failed') {
    return (
      <span class="small-text error" role="alert">
        {error}
      </span>
    );
  }
  if (state === 'ready') return <span class="small-text muted">{sizeInWords(bytes)}</span>;
  if (state === 'paused') return <Paused file={file} resume={resume} />;
  return (
    <progress aria-label={`Upload of ${name}`} max={100} value={Math.round(share * 100)}>
      {Math.round(share * 100)} %
    </progress>
  );
}

/** After a reload the page has no right to read the file: the user chooses it once more. */
function Paused({
  file: { name, share, bytes },
  resume,
}: {
  file: PendingFile;
  resume: (file: File) => void;
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <span class="small-text muted">
        The page was loaded again, with {Math.floor(share * 100)} % of {sizeInWords(bytes)} sent.
      </span>
      <button class="link small-text" type="button" onClick={() => input.current?.click()}>
        Choose {name} again to go on
      </button>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={`File ${name}`}
        onChange={({ currentTarget }) => {
          const [chosen] = currentTarget.files ?? [];
          if (chosen !== undefined) resume(chosen);
          // the same file may be chosen again
          currentTarget.value = '';
        }}
      />
    </>
  );
}
