import { useRef, useState } from 'preact/hooks';
import type { JSX, TargetedSubmitEvent } from 'preact';
import { limits } from '../../../client/index.ts';
import { Mark } from '../../ui/icons.tsx';
import { keepSession, notice, refusedToken, signInAsGuest } from './session.ts';

export function SignIn(): JSX.Element {
  const refused = refusedToken.value;
  /** The form requests a token, because one was refused, or because there are no guests here. */
  const [closed, setClosed] = useState(refused !== undefined);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const field = useRef<HTMLInputElement>(null);

  const enter = async (text: string): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      if (closed) keepSession({ token: text, guest: false });
      else if ((await signInAsGuest(text)) === 'closed') {
        setClosed(true);
        setError('This server takes no guests.');
      }
    } catch (thrown) {
      setError(thrown instanceof TypeError ? 'The server cannot be reached.' : (thrown as Error).message);
    } finally {
      setBusy(false);
      field.current?.focus();
    }
  };
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const text = field.current?.value.trim() ?? '';
    if (text !== '') void enter(text);
  };

  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit} aria-labelledby="welcome">
        <Mark size={48} />
        <h1 id="welcome">Welcome to Parley</h1>
        <p class="muted">{closed ? 'Paste your token.' : 'Choose a name that the others will know you by.'}</p>
        {notice.value !== undefined && <p class="notice">{notice.value}</p>}
        <Field
          key={closed ? 'token' : 'name'}
          closed={closed}
          invalid={error !== undefined}
          value={closed ? refused : undefined}
          field={field}
        />
        {error !== undefined && (
          <p class="error" role="alert" id="sign-in-error">
            {error}
          </p>
        )}
        <button class="button primary wide" type="submit" disabled={busy}>
          {busy ? 'One moment…' : 'Enter'}
        </button>
        <button class="button plain wide" type="button" onClick={() => setClosed(!closed)}>
          {closed ? 'Enter as a guest' : 'I have a token'}
        </button>
      </form>
    </main>
  );
}

interface FieldProps {
  closed: boolean;
  invalid: boolean;
  /** The initial text of the field. */
  value: string | undefined;
  field: { current: HTMLInputElement | null };
}

function Field({ closed, invalid, value, field }: FieldProps): JSX.Element {
  return (
    <label class="field">
      <span>{closed ? 'Token' : 'Your name'}</span>
      <input
        ref={field}
        name={closed ? 'token' : 'name'}
        type="text"
        defaultValue={value ?? ''}
        required
        autofocus
        maxLength={closed ? 8192 : limits.userNameLength}
        autocomplete={closed ? 'off' : 'nickname'}
        spellcheck={false}
        aria-invalid={invalid}
        aria-describedby={invalid ? 'sign-in-error' : undefined}
      />
    </label>
  );
}
