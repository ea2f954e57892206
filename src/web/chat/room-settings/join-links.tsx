import { useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { CommandOutput, RoomEntry } from '../../../client/index.ts';
import { linkTimes, linkUses } from '../../ui/choices.ts';
import { fullTime } from '../../ui/dates.ts';
import { useAction } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { AccessList } from './access-list.tsx';
import { joinAddress } from '../join-link.ts';
import { nameOf } from '../members/people.ts';
import { mayIn } from '../rights.ts';
import { Select } from '../../ui/select.tsx';
import { useClient } from '../../ui/hooks.ts';
import { usePages } from '../../ui/use-pages.ts';

type JoinLink = CommandOutput<'link:list'>['links'][number];

const week = 7 * 24 * 3600;

/** Join links: created, copied once, revoked. */
export function JoinLinks({ room }: { room: RoomEntry }): JSX.Element {
  const client = useClient();
  const { busy, error, run } = useAction();
  const [seconds, setSeconds] = useState<number | undefined>(week);
  const [maxUses, setMaxUses] = useState<number>();
  const [made, setMade] = useState<string>();
  const pages = usePages<JoinLink>(room.id, async (after) => {
    const input = { room: room.id, ...(after !== undefined && { after }) };
    const { links, ...page } = await client.call('link:list', input);
    return { ...page, items: links };
  });
  const create = (): void =>
    run(async () => {
      const bounds = { ...(seconds !== undefined && { seconds }), ...(maxUses !== undefined && { maxUses }) };
      const { token } = await client.call('link:create', { room: room.id, ...bounds });
      setMade(joinAddress(token));
      pages.reload();
    });
  const revoke = (id: string): void =>
    run(async () => {
      await client.call('link:revoke', { room: room.id, id });
      setMade(undefined);
      pages.reload();
    });
  return (
    <AccessList
      title="Join links"
      empty="There are no links."
      pages={pages}
      busy={busy}
      error={error}
      row={(link) => ({
        key: link.id,
        sign: (
          <span class="row-sign">
            <Icon name="link" size={16} />
          </span>
        ),
        title: <strong>{used(link)}</strong>,
        about: (
          <span class="muted small-text">
            as {link.role}, by {nameOf(link.by)},{' '}
            {link.expires === null ? (
              'never expires'
            ) : (
              <time title={fullTime(link.expires)}>until {new Date(link.expires).toLocaleDateString()}</time>
            )}
          </span>
        ),
        button: (
          <>
            Revoke<span class="sr-only"> the link of {nameOf(link.by)}</span>
          </>
        ),
        onEnd: () => revoke(link.id),
      })}
    >
      {mayIn(room, 'link') && (
        <form class="link-form" onSubmit={(event) => (event.preventDefault(), create())}>
          <Select label="Expires after" choices={linkTimes} value={seconds} onChoose={setSeconds} />
          <Select label="For" choices={linkUses} value={maxUses} onChoose={setMaxUses} />
          <button class="button" type="submit" disabled={busy}>
            Create a link
          </button>
        </form>
      )}
      {made !== undefined && <Made address={made} />}
    </AccessList>
  );
}

function used({ uses, maxUses }: JoinLink): string {
  return maxUses === null ? `Used ${uses} ${uses === 1 ? 'time' : 'times'}` : `Used ${uses} of ${maxUses} times`;
}

/** The server stores only the hash of the token, so the link is shown only once. */
function Made({ address }: { address: string }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    field.current?.select();
    // Without https there is no clipboard; the selected address can still be copied by hand.
    const copying = (navigator.clipboard as Clipboard | undefined)?.writeText(address);
    copying?.then(
      () => setCopied(true),
      () => undefined,
    );
  };
  return (
    <div class="made">
      <label class="field">
        <span>Copy it now: it is not shown again</span>
        <input ref={field} type="text" readOnly value={address} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <button class="button primary" type="button" onClick={copy}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}
