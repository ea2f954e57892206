/** A DNS server that knows what a test says, for programs that resolve names by themselves. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface Dns {
  /** With its port. */
  readonly address: string;
  stop(): Promise<void>;
}

const headerBytes = 12;

/** @param known IPv4 addresses by name; may change while the server runs. Other names do not exist. */
export async function startDns(known: ReadonlyMap<string, string>): Promise<Dns> {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => socket.send(answerTo(query, known), from.port, from.address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function answerTo(query: Buffer, known: ReadonlyMap<string, string>): Buffer {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  // The zero, the type and the class.
  const question = query.subarray(headerBytes, at + 5);
  const isAddress = query.readUInt16BE(at + 1) === 1;
  const address = known.get(labels.join('.').toLowerCase());
  const found = isAddress && address !== undefined;
  const header = Buffer.from(query.subarray(0, headerBytes));
  // An answer with recursion; code 3: the name does not exist.
  header.writeUInt16BE(address === undefined ? 0x8183 : 0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(found ? 1 : 0, 6);
  header.writeUInt32BE(0, 8);
  if (!found) return Buffer.concat([header, question]);
  // The name of the question, type A, class IN, one second, four bytes.
  const record = Buffer.from([0xc0, headerBytes, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
  return Buffer.concat([header, question, record, Buffer.from(address.split('.').map(Number))]);
}
