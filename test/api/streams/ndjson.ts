/** A client of a stream over a real socket, by node:http. The answer and each line are checked against OpenAPI. */
import http from 'node:http';
import { onTestFinished } from 'vitest';
import type { StreamLine } from '../../../src/protocol/stream-lines.ts';
import { assertDescribed, describedBy } from '../../support/checked-fetch.ts';
import { tokenOf } from '../../support/server.ts';
import { until } from '../../support/until.ts';

export interface StreamClient {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** The text of an answer that is no stream. */
  readonly text: () => string;
  readonly lines: readonly StreamLine[];
  /** The seqs of the lines that are new messages. */
  readonly seqs: () => number[];
  readonly revs: () => number[];
  readonly over: () => boolean;
  readonly end: () => Promise<Extract<StreamLine, { type: 'end' }>>;
  readonly line: <T extends StreamLine['type']>(type: T, count?: number) => Promise<Extract<StreamLine, { type: T }>>;
  readonly pause: () => void;
  readonly resume: () => void;
  readonly abort: () => void;
}

export interface OpenOptions {
  readonly token?: string;
  readonly user?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The client reads nothing before `resume`. */
  readonly paused?: boolean;
}

export async function openStream(url: string, path: string, options: OpenOptions = {}): Promise<StreamClient> {
  const token = options.token ?? (await tokenOf(options.user ?? 'ann'));
  const request = http.get(`${url}/api/v1${path}`, {
    agent: false,
    headers: { authorization: `Bearer ${token}`, ...options.headers },
  });
  onTestFinished(() => void request.destroy());
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
  const answers = await describedBy(url);
  const { statusCode: status = 0, headers: raw } = response;
  const headers = new Headers(Object.entries(raw).map(([name, value]) => [name, String(value)]));
  assertDescribed(answers, { method: 'GET', target: `/api/v1${path}`, status, headers, body: undefined });
  return clientOf(request, response, options.paused === true, (line) => {
    const faults = answers.lineFaults(path, line);
    if (faults.length > 0) throw new Error(`OpenAPI does not describe the line: ${faults.join('; ')}\n${line}`);
  });
}

function clientOf(
  request: http.ClientRequest,
  response: http.IncomingMessage,
  paused: boolean,
  check: (line: string) => void,
): StreamClient {
  const lines: StreamLine[] = [];
  const isStream = response.headers['content-type'] === 'application/x-ndjson';
  let rest = '';
  let isOver = false;
  const take = (text: string): void => {
    rest += text;
    if (!isStream) return;
    const parts = rest.split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      if (part === '') continue;
      check(part);
      lines.push(JSON.parse(part) as StreamLine);
    }
  };
  const over = (): void => {
    isOver = true;
  };
  response.setEncoding('utf8');
  response.once('close', over).once('end', over).on('error', over);
  request.on('error', over);
  if (paused) response.pause();
  response.on('data', take);
  if (paused) response.pause();
  const line: StreamClient['line'] = async (type, count = 1) => {
    const found = (): StreamLine | undefined => lines.filter((one) => one.type === type)[count - 1];
    const what = (): string =>
      `line ${count} of type ${type} comes; there are ${lines.map((one) => one.type).join(' ')}`;
    await until(what, () => found() !== undefined, 20_000);
    return found() as never;
  };
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: () => rest,
    lines,
    seqs: () => lines.flatMap((one) => (one.type === 'message' ? one.message.seq : [])),
    revs: () => lines.flatMap((one) => (one.type === 'message' ? one.rev : [])),
    over: () => isOver,
    end: async () => {
      const last = await line('end');
      await until('the stream ends', () => isOver);
      return last;
    },
    line,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    abort: () => void request.destroy(),
  };
}
