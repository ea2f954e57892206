// @ts-check
/** The numbers of every script. A variable of the environment with the same name overrides each. */

/**
 * @typedef {object} Settings numbers of a run; scripts add their own
 * @property {number} users
 * @property {number} seconds of load; connecting included, the last check not
 * @property {number} ramp seconds over which the users come
 * @property {number} rate messages a second of each user
 * @property {number} roomSize users a room
 * @property {number} perVu users of one virtual user of k6, which costs megabytes and a thread
 * @property {number} bodyBytes text of a message
 * @property {number} lateMs a delivery is late after this time
 * @property {number} sample the time of every n-th delivery is measured; all are checked
 * @property {number} pending unanswered sends of a user; further sends are skipped
 * @property {number} settleSeconds time for the last events after the end
 * @property {number} auditSeconds time for the last check
 */

/** @type {Settings} */
const common = {
  users: 100,
  seconds: 60,
  ramp: 10,
  rate: 1,
  roomSize: 10,
  perVu: 10,
  bodyBytes: 100,
  lateMs: 1000,
  sample: 1,
  pending: 20,
  settleSeconds: 15,
  auditSeconds: 120,
};

export const isShort = /^(1|true|yes)$/.test(__ENV['SHORT'] ?? '');
export const target = (__ENV['PARLEY_URL'] ?? 'http://localhost:3000').replace(/\/$/, '');
/** The PARLEY_JWT_SECRET of the server. Without it the users are guests of the embedded demo. */
export const secret = __ENV['PARLEY_SECRET'] ?? __ENV['PARLEY_JWT_SECRET'] ?? '';
export const resultsFolder = __ENV['RESULTS'] ?? 'k6/results';

/** `offlineMs` is set by OFFLINE_MS. @param {string} key */
export const variable = (key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

/**
 * @template {Record<string, number>} T
 * @param {T} full the numbers of the script
 * @param {Partial<T> & Partial<Settings>} short numbers that differ in the short form
 * @returns {Settings & T}
 */
export function settingsOf(full, short) {
  /** @type {Record<string, number | undefined>} */
  const given = { ...common, ...full, ...(isShort ? { auditSeconds: 45, ...short } : {}) };
  for (const key of Object.keys(given)) {
    const text = __ENV[variable(key)];
    if (text === undefined || text === '') continue;
    const value = Number(text);
    if (!Number.isFinite(value) || value < 0) throw new Error(`${variable(key)}=${text}: expected a number from 0`);
    given[key] = value;
  }
  return /** @type {any} */ (given);
}
