import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { connect, indexedDbStore } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { forgetDrafts } from './composer/drafts.ts';
import { forgetPreferences } from './inbox/preferences.ts';
import { dropPush } from './inbox/push.ts';
import { endSession, notice, session } from './sign-in/session.ts';
import type { Session } from './sign-in/session.ts';
import { Shell } from './shell.tsx';
import { SignIn } from './sign-in/sign-in.tsx';
import { ClientProvider } from '../ui/hooks.ts';

export function App(): JSX.Element {
  const current = session.value;
  return current === undefined ? <SignIn /> : <Connected key={current.token} session={current} />;
}

function Connected({ session: { token } }: { session: Session }): JSX.Element | null {
  const [client, setClient] = useState<Client>();
  useEffect(() => {
    // The address without the hash, with the path: the server may have a path prefix behind a proxy.
    const opened = connect({ url: new URL('.', location.href).href, token, store: indexedDbStore() });
    setClient(opened);
    const stop = opened.state.subscribe((state) => {
      if (state.status !== 'closed' || state.error === undefined) return;
      endSession(`Signed out: ${state.error.message}`);
    });
    return () => {
      stop();
      // A sign-out, here or in another tab, removes all data from a machine that others may use. A session that the
      // server ended keeps its unsent messages.
      if (session.value !== undefined || notice.value !== undefined) return opened.close();
      // Runs at once: another user may sign in before the store is empty.
      forgetDrafts();
      forgetPreferences();
      void dropPush();
      void opened.forget();
    };
  }, [token]);
  if (client === undefined) return null;
  return (
    <ClientProvider value={client}>
      <Shell />
    </ClientProvider>
  );
}
