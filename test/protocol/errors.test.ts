import { describe, expect, it } from 'vitest';
import { commands } from '../../src/protocol/commands.ts';
import { errorCatalogue, ParleyError, type ErrorCode } from '../../src/protocol/errors.ts';
import { clientError, failureOf } from '../../src/storage/failure.ts';

const codes = Object.keys(errorCatalogue) as ErrorCode[];

describe('the catalogue of errors', () => {
  it.each(codes)('%s has a sentence, an HTTP status of its kind, and a close code that a server may use', (code) => {
    const kind: { message: string; retryable: boolean; httpStatus: number; closeCode?: number } = errorCatalogue[code];
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(kind.message).toMatch(/^[A-Z].*\.$/);
    expect(kind.httpStatus).toBeGreaterThanOrEqual(400);
    expect(kind.httpStatus).toBeLessThan(600);
    // a fault of the server's is worth another try, the same wrong input is not
    if (kind.httpStatus >= 500) expect(kind.retryable).toBe(true);
    if ([400, 401, 403, 404, 409, 413].includes(kind.httpStatus)) expect(kind.retryable).toBe(false);
    if (kind.closeCode !== undefined) {
      expect([1001, 1009, 1013].includes(kind.closeCode) || (kind.closeCode >= 4000 && kind.closeCode < 5000)).toBe(
        true,
      );
    }
  });

  it('has no close code twice', () => {
    const closing = codes.map((code) => (errorCatalogue[code] as { closeCode?: number }).closeCode).filter(Boolean);
    expect(new Set(closing).size).toBe(closing.length);
  });

  it('is where every command takes its errors from', () => {
    for (const { errors } of Object.values(commands)) for (const code of errors) expect(codes).toContain(code);
  });
});

describe('an error on the wire', () => {
  it('has code, message, whether to try again, and when', () => {
    expect(new ParleyError('not_found').toWire()).toEqual({
      code: 'not_found',
      message: errorCatalogue.not_found.message,
      retryable: false,
    });
    const cause = new Error('secret detail');
    const wire = new ParleyError('unavailable', 'Down.', { retryAfter: 5, cause }).toWire();
    expect(wire).toEqual({ code: 'unavailable', message: 'Down.', retryable: true, retryAfter: 5 });
  });
});

const sqlState = (code: string) => Object.assign(new Error(code), { code });

describe('an error of the database', () => {
  it.each([
    ['40001', 'transient'],
    ['40P01', 'transient'],
    ['23505', 'transient'],
    ['57P01', 'transient'],
    ['08006', 'transient'],
    ['53300', 'transient'],
    ['ECONNREFUSED', 'transient'],
    ['CONNECTION_CLOSED', 'transient'],
    ['22P05', 'data'],
    ['22003', 'data'],
    ['54000', 'data'],
    ['42883', 'fault'],
    ['23502', 'fault'],
    ['XX000', 'fault'],
  ])('%s is %s', (code, kind) => {
    expect(failureOf(sqlState(code))).toBe(kind);
    const reported = clientError(sqlState(code));
    if (kind === 'transient') expect(reported).toMatchObject({ code: 'unavailable', retryAfter: 1000 });
    else expect(reported).toMatchObject({ code });
  });

  it('without a code is a fault', () => {
    for (const thrown of [new Error('x'), 'x', undefined, null, { code: 5 }]) expect(failureOf(thrown)).toBe('fault');
  });
});
