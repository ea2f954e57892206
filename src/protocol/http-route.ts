/** The form in which a declaration says by which requests of REST its command is reached. */

/** The prefix of every address of REST. */
export const apiPrefix = '/api/v1';

/** How the pages of a list follow each other. */
export interface Pages {
  /** The field of the output that is the list; REST calls the list `items`. */
  readonly items: string;
  /**
   * The fields of the output that lead to the next page, each with the field of the input that takes its value. The first one whose
   * input field is in the request counts, else the last one.
   */
  readonly next: readonly { readonly from: string; readonly to: string }[];
}

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Under `/api/v1`. A field of the input in braces is taken from the path: `/rooms/{room}`. */
  readonly path: string;
  /** The path is not under `/api/v1`, and no operation of REST serves it. */
  readonly isOutside?: true;
  /** The status of success. Default: 200. */
  readonly status?: 201 | 202 | 204;
  /** Headers of every answer, also of errors. */
  readonly headers?: Readonly<Partial<Record<'Tus-Resumable', string>>>;
  /** Headers of the request that the handler reads. */
  readonly requestHeaders?: readonly RequestHeader[];
  /** Headers of a success that the handler adds. */
  readonly answerHeaders?: readonly AnswerHeader[];
  /** The answer has an ETag, and a request may choose a range of its bytes. */
  readonly hasRanges?: true;
  /** Fields of the input that this route sets. */
  readonly fixed?: Readonly<Record<string, unknown>>;
  /** Fields of the input that this route does not take. */
  readonly without?: readonly string[];
  /**
   * A field of the input that the request may leave out: the server makes a UUID, from the Idempotency-Key if there is one.
   */
  readonly generates?: 'id';
  readonly pages?: Pages;
  /**
   * The name of the command or route that reads the object which this one writes. A request may carry `If-Match` with the ETag
   * of that read. The handler gets the object of that read, and compares it in the statement that writes.
   */
  readonly ifMatch?: string;
  /** The answer has a secret of which Parley keeps a hash at most. So no answer is kept for an Idempotency-Key. */
  readonly secret?: true;
  /** The route has the lower rate of sensitive routes. */
  readonly sensitive?: true;
  /**
   * An API key that names no user acts with the rights of the owner of the room. Absent: the key has to name a user, because
   * the command is about that user's own state.
   */
  readonly asOwner?: true;
}

/** Headers that a route alone reads. */
export type RequestHeader =
  'If-None-Match' | 'If-Range' | 'Range' | 'Tus-Resumable' | 'Upload-Length' | 'Upload-Metadata' | 'Upload-Offset';

/** Headers that a route alone has in its success. */
export type AnswerHeader =
  | 'Accept-Ranges'
  | 'Content-Disposition'
  | 'Last-Modified'
  | 'Location'
  | 'Retry-After'
  | 'Upload-Expires'
  | 'Upload-Length'
  | 'Upload-Metadata'
  | 'Upload-Offset';

/** The object as the caller of a conditional write has read it. `any`: the caller asks only that there is one (`If-Match: *`). */
export type Seen<O> = O | 'any';

/** `connection`: the command is about its own connection, so that a request cannot give it. */
export type Http = HttpRoute | readonly HttpRoute[] | 'connection';
