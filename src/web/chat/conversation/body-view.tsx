import type { JSX } from 'preact';
import { addressOfFile, attachmentsOf, encryptedOf, filesOf, nameOfFile, sizeInWords } from '../text/body.ts';
import type { Attachment } from '../text/body.ts';
import { Icon } from '../../ui/icons.tsx';
import { everybody, mentionsIn } from '../text/mentions.ts';
import { knownName } from '../members/people.ts';
import { encryptedText, keptPieces, textOf } from '../text/text.ts';
import { UploadCard } from '../uploads/upload-card.tsx';
import { useClient } from '../../ui/hooks.ts';

/** The body of a message: its text with links and mentions and its files, or a note that the body is encrypted. */
export function BodyView({ body }: { body: unknown }): JSX.Element {
  const encrypted = encryptedOf(body);
  if (encrypted !== undefined) return <Encrypted alg={encrypted.alg} kid={encrypted.kid} />;
  const text = textOf(body);
  const uploads = filesOf(body);
  const files = attachmentsOf(body);
  const count = uploads.length + files.length;
  return (
    <>
      {text !== '' && (
        <p class="text" dir="auto">
          {keptPieces(text).map(({ text: part, href }) =>
            href === undefined ? (
              <Mentioning text={part} />
            ) : (
              <a href={href} target="_blank" rel="noopener noreferrer nofollow">
                {part}
              </a>
            ),
          )}
        </p>
      )}
      {count > 0 && (
        <ul class="files" aria-label={count === 1 ? 'Attachment' : `${count} attachments`}>
          {uploads.map((file) => (
            <li key={file.upload}>
              <UploadCard file={file} />
            </li>
          ))}
          {files.map((file) => (
            <li key={file.url}>
              <FileCard file={file} />
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Mentioning({ text }: { text: string }): JSX.Element {
  const me = useClient().user.value?.id;
  const parts: (JSX.Element | string)[] = [];
  let from = 0;
  for (const mention of mentionsIn(text, (id) => knownName(id) !== undefined)) {
    const { id } = mention;
    if (mention.from > from) parts.push(text.slice(from, mention.from));
    parts.push(
      <span class={id === me || id === everybody ? 'mention own' : 'mention'} title={`@${id}`}>
        @{knownName(id) ?? id}
      </span>,
    );
    from = mention.to;
  }
  if (from < text.length) parts.push(text.slice(from));
  return <>{parts}</>;
}

function Encrypted({ alg, kid }: { alg: string; kid: string }): JSX.Element {
  return (
    <div class="encrypted">
      <Icon name="lock" size={18} />
      <div>
        <p class="text">{encryptedText}</p>
        <p class="small-text muted">
          {alg} <span title={kid}>· key {kid.length > 16 ? `${kid.slice(0, 16)}…` : kid}</span>
        </p>
      </div>
    </div>
  );
}

/** Files on other hosts are not loaded: a request would show that host the reader and the time. */
function FileCard({ file }: { file: Attachment }): JSX.Element {
  const address = addressOfFile(file.url);
  const isImage = file.type.startsWith('image/');
  const name = nameOfFile(file);
  const about = `${file.type} · ${sizeInWords(file.size)}`;
  const inside = (
    <>
      {isImage && address?.origin === location.origin ? (
        <img src={address.href} alt="" loading="lazy" width={file.width} height={file.height} />
      ) : (
        <span class="file-sign">
          <Icon name={isImage ? 'image' : 'file'} size={20} />
        </span>
      )}
      <span class="file-about">
        <span class="file-name" dir="auto">
          {name}
        </span>
        <span class="small-text">
          {about}
          {address !== undefined && address.origin !== location.origin && ` · ${address.host}`}
        </span>
      </span>
    </>
  );
  if (address === undefined) return <div class="file">{inside}</div>;
  return (
    <a class="file" href={address.href} target="_blank" rel="noopener noreferrer nofollow">
      {inside}
    </a>
  );
}
