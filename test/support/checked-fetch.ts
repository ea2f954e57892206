/**
 * In every test file: each answer of REST to `fetch` is checked against `/api/v1/openapi.json` of its server. An answer that the
 * document does not describe fails the request, and the file too if the test swallows the failure.
 */
import { afterAll } from 'vitest';
import { DescribedAnswers, type DescribedAnswer } from './described-answers.ts';

const plainFetch = globalThis.fetch;
const found: string[] = [];
/** The document is that of the code, so that the servers of a file share one. */
let described: Promise<DescribedAnswers> | undefined;

afterAll(() => {
  // files of the shared project have one process
  globalThis.fetch = plainFetch;
  if (found.length > 0) throw new Error(`OpenAPI does not describe these answers:\n${found.splice(0).join('\n')}`);
});

/** For a server without `/openapi.json`: the document of its operations. */
export function describeAnswers(document: object): void {
  described = Promise.resolve(new DescribedAnswers(document as never));
}

/** @param url the address of a server */
export function describedBy(url: string): Promise<DescribedAnswers> {
  return (described ??= load(new URL(url).origin).catch((error: unknown) => {
    described = undefined;
    throw error;
  }));
}

/** @throws {Error} if the document does not describe the answer */
export function assertDescribed(answers: DescribedAnswers, answer: DescribedAnswer): void {
  const faults = answers.faults(answer);
  if (faults.length === 0) return;
  const { method, target, status, body = '' } = answer;
  const text = `${method} ${target} -> ${status}: ${faults.join('; ')}\n  ${body.slice(0, 500)}`;
  found.push(text);
  throw new Error(`OpenAPI does not describe the answer: ${text}`);
}

async function load(origin: string): Promise<DescribedAnswers> {
  const response = await plainFetch(`${origin}/api/v1/openapi.json`);
  if (!response.ok) throw new Error(`GET /api/v1/openapi.json has the status ${response.status}`);
  return new DescribedAnswers((await response.json()) as never);
}

globalThis.fetch = async (input, init) => {
  const response = await plainFetch(input, init);
  const { pathname, search, origin } = new URL(input instanceof Request ? input.url : String(input));
  const isFile = pathname.startsWith('/files/');
  if (!pathname.startsWith('/api/v1/') && !isFile) return response;
  const { status, headers } = response;
  // a proxy answers for nodes that are unavailable
  if (headers.get('server')?.startsWith('nginx') === true && status >= 502) return response;
  const type = headers.get('content-type') ?? '';
  const isStream = type.startsWith('application/x-ndjson') || (isFile && !type.startsWith('application/problem+json'));
  const body = isStream ? undefined : await response.clone().text();
  const method = (init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase();
  assertDescribed(await describedBy(origin), { method, target: pathname + search, status, headers, body });
  return response;
};
