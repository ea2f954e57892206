/** The peers that are libraries for Node: socket.io on ws and on uWebSockets.js, bare uWebSockets.js, bare ws. */
import { LoadClient, type ClientOptions, type PeerProcess } from '../client.ts';
import { tokensFile } from '../context.ts';
import { frames, rawFrame } from '../frames.ts';
import { startPeer } from '../servers.ts';
import { listensTo, targetOf, userOf, type Crowd, type Running, type Subject, type SubjectName } from './subject.ts';

/** They are development dependencies of Parley. */
const missing = (): undefined => undefined;

function socketio(name: SubjectName, title: string, transport: 'ws' | 'uws'): Subject {
  return {
    name,
    title,
    missing,
    async open(context, crowd) {
      const { lab } = context;
      const server = await startPeer(lab, 'socketio', transport);
      const all = crowd.rooms.map((_, i) => i);
      const join = (i: number): string => {
        const rooms = listensTo(crowd, i);
        return rooms.length === 0 ? '' : `420["join",${JSON.stringify(rooms)}]`;
      };
      const options: ClientOptions = {
        port: server.port,
        serverPid: server.child.pid,
        dialect: 'sio',
        connections: all.length,
        countPrefix: '42["',
        tokens: await tokensFile(
          context,
          crowd.name,
          all.map((i) => userOf(crowd, i)),
        ),
        rooms: await lab.file(
          `${crowd.name}-rooms`,
          all.map((i) => targetOf(crowd, i)),
        ),
        setups: await lab.file(`${crowd.name}-join-sio`, all.map(join)),
        command: crowd.does === 'echo' ? frames.echo : frames.signal,
      };
      return {
        pids: [server.child.pid],
        connect: (connections = all.length) => LoadClient.connect(lab, { ...options, connections }),
        stop: () => server.child.stop(),
      };
    },
  };
}

function raw(name: SubjectName & PeerProcess, title: string): Subject {
  return {
    name,
    title,
    missing,
    async open({ lab }, crowd): Promise<Running> {
      const server = await startPeer(lab, name);
      const all = crowd.rooms.map((_, i) => i);
      const oneRoom = isOneRoom(crowd);
      const join = (i: number): string => {
        const rooms = listensTo(crowd, i);
        return rooms.length === 0 ? '' : `j ${oneRoom ? 'fan' : rooms.join(' ')}`;
      };
      const options: ClientOptions = {
        port: server.port,
        serverPid: server.child.pid,
        dialect: 'raw',
        connections: all.length,
        countPrefix: '42["',
        rooms: await lab.file(
          `${crowd.name}-rooms`,
          all.map((i) => targetOf(crowd, i)),
        ),
        setups: await lab.file(`${crowd.name}-join-raw`, all.map(join)),
        command: rawFrame(crowd.does === 'echo' ? 'E' : oneRoom ? 'F' : 'P'),
      };
      return {
        pids: [server.child.pid],
        connect: (connections = all.length) => LoadClient.connect(lab, { ...options, connections }),
        stop: () => server.child.stop(),
      };
    },
  };
}

/** In one room, the peer need not read the name of the room. */
function isOneRoom(crowd: Crowd): boolean {
  const [first] = crowd.rooms[0] ?? [];
  return crowd.does === 'publish' && crowd.rooms.every((rooms) => rooms.length === 1 && rooms[0] === first);
}

export const socketioOnWs = socketio('socketio', 'socket.io on ws', 'ws');
export const socketioOnUws = socketio('socketio-uws', 'socket.io on uWebSockets.js', 'uws');
export const bareUws = raw('uws', 'bare uWebSockets.js');
export const bareWs = raw('ws', 'bare ws');
