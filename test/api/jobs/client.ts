/** Requests of jobs against a started server. */
import { expect } from 'vitest';
import type { Job } from '../../../src/protocol/jobs.ts';
import { request, type Asking } from '../keys-routes.ts';

export interface ImportOptions {
  readonly bearer: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function postImport(
  url: string,
  body: BodyInit,
  { bearer, query = '', headers = {} }: ImportOptions,
): Promise<Response> {
  return fetch(`${url}/api/v1/import${query}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/x-ndjson', ...headers },
    body,
    // Node wants it for a stream
    ...({ duplex: 'half' } as object),
  });
}

/** @returns the job of an accepted import */
export async function accepted(response: Response): Promise<Job> {
  expect(response.status).toBe(202);
  const job = (await response.json()) as Job;
  expect(response.headers.get('location')).toBe(`/api/v1/jobs/${job.id}`);
  expect(response.headers.get('retry-after')).toBe('1');
  return job;
}

export async function readJob(url: string, bearer: string, id: string): Promise<Job> {
  const { status, body } = await request(url, 'GET', `/jobs/${id}`, { bearer });
  expect(status).toBe(200);
  return body as unknown as Job;
}

export async function jobBy(
  url: string,
  bearer: string,
  id: string,
  holds: (job: Job) => boolean,
  timeout = 60_000,
): Promise<Job> {
  let last: Job | undefined;
  await expect
    .poll(
      async () => {
        last = await readJob(url, bearer, id);
        return holds(last) || (last.endedAt !== null && !holds(last) ? last : false);
      },
      { timeout, interval: 50 },
    )
    .toBe(true);
  return last as Job;
}

/** @returns the job when it has ended */
export function ended(url: string, bearer: string, id: string): Promise<Job> {
  return jobBy(url, bearer, id, ({ endedAt }) => endedAt !== null);
}

export async function askJob(url: string, method: string, path: string, asking: Asking): Promise<Job> {
  const answer = await request(url, method, path, asking);
  expect([answer.text, answer.status]).toEqual([answer.text, 202]);
  expect(answer.headers.get('location')).toBe(`/api/v1/jobs/${String(answer.body['id'])}`);
  return answer.body as unknown as Job;
}
