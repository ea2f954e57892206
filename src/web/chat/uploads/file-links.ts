/** Signed links to files. A link serves until a minute before its end. */
import { session } from '../sign-in/session.ts';

interface Link {
  readonly url: string;
  readonly expires: number;
}

const kept = new Map<string, Promise<Link>>();
const most = 500;
const leastLeftMs = 60_000;

/** @returns undefined if the file is not there any more */
export async function linkTo(upload: string): Promise<string | undefined> {
  const known = await kept.get(upload)?.catch(() => undefined);
  if (known !== undefined && known.expires > Date.now() + leastLeftMs) return known.url;
  if (kept.size >= most) kept.clear();
  const link = fetchLink(upload);
  kept.set(upload, link);
  try {
    return (await link).url;
  } catch {
    kept.delete(upload);
    return undefined;
  }
}

async function fetchLink(upload: string): Promise<Link> {
  const answer = await fetch(`api/v1/uploads/${upload}/link`, {
    headers: { authorization: `Bearer ${session.peek()?.token ?? ''}` },
  });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const { url, expires } = (await answer.json()) as Link;
  // the server may have a path prefix behind a proxy
  return { url: url.replace(/^\//u, ''), expires };
}
