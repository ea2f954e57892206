// @ts-check
/** @typedef {import('./user.js').User} User */

/** Sends `rate` messages a second until the end. @param {User} user */
export function sendSteadily(user) {
  return user.every(1000 / user.settings.rate, () => user.say());
}
