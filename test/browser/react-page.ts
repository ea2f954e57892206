/** A small application of the hooks, with Preact's compat in the place of React. */
import { createElement as h, render } from 'preact/compat';
import { connect } from '../../src/client/index.ts';
import {
  ParleyProvider,
  useConnectionState,
  useMembers,
  useMessages,
  usePresence,
  useRoom,
  useRoomPresence,
  useRooms,
  useUnread,
  useUser,
} from '../../src/react/index.ts';

interface Page {
  readonly location: { readonly host: string };
  readonly document: { getElementById(id: string): never };
}
const page = globalThis as unknown as Page;

function App({ id }: { id: string }) {
  const room = useRoom(id);
  const shown = {
    state: useConnectionState().status,
    user: useUser()?.id,
    rooms: useRooms().map((one) => one.id),
    unread: useUnread(),
    messages: useMessages(id).map(({ body }) => body),
    same: room.messages === useMessages(id),
    outgoing: room.outgoing.length,
    members: useMembers(id).map(({ user }) => user),
    present: Array.from(useRoomPresence(id), ([user, { online }]) => `${user} ${online}`).sort(),
    other: usePresence('other')?.online,
  };
  return h(
    'div',
    null,
    h('pre', null, JSON.stringify(shown)),
    h('button', { onClick: () => void room.room.send('pressed') }, 'Send'),
  );
}

function Outside() {
  try {
    useUser();
    return h('i', null, 'no error');
  } catch (error) {
    return h('i', null, String(error));
  }
}

const lab = {
  start(token: string, room: string): void {
    const client = connect({ url: `http://${page.location.host}`, token: () => token });
    const tree = h(
      'div',
      null,
      h(ParleyProvider as never, { client } as never, h(App, { id: room })),
      h(Outside, null),
    );
    render(tree, page.document.getElementById('app'));
  },
  stop(): void {
    render(null, page.document.getElementById('app'));
  },
};
Object.assign(globalThis, { lab });
