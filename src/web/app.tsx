import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { connect } from '../client/index.ts';
import type { Client, OutboxStorage } from '../client/index.ts';
import { endSession, session } from './session.ts';
import type { Session } from './session.ts';
import { Shell } from './shell.tsx';
import { SignIn } from './sign-in.tsx';
import { readStored, writeStored } from './storage.ts';
import { ClientProvider } from './use.ts';

/** Of this tab alone, and kept over its reloads. Two copies of a tab may send an entry twice; it is stored once. */
const outbox: OutboxStorage = {
  load: () => {
    const stored = readStored(sessionStorage, 'parley.outbox');
    return Array.isArray(stored) ? (stored as ReturnType<OutboxStorage['load']>) : [];
  },
  save: (entries) =>
    writeStored(
      sessionStorage,
      'parley.outbox',
      entries.length === 0 ? undefined : entries.map(({ input, at }) => ({ input, at })),
    ),
};

export function App(): JSX.Element {
  const current = session.value;
  return current === undefined ? <SignIn /> : <Connected key={current.token} session={current} />;
}

function Connected({ session: { token } }: { session: Session }): JSX.Element | null {
  const [client, setClient] = useState<Client>();
  useEffect(() => {
    // The address without the hash, with the path: the server may stand behind a prefix.
    const opened = connect({ url: new URL('.', location.href).href, token, outbox });
    setClient(opened);
    const stop = opened.state.subscribe((state) => {
      if (state.status === 'closed' && state.error !== undefined) endSession(`Signed out: ${state.error.message}`);
    });
    return () => {
      stop();
      opened.close();
    };
  }, [token]);
  if (client === undefined) return null;
  return (
    <ClientProvider value={client}>
      <Shell />
    </ClientProvider>
  );
}
