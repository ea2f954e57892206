// @ts-check
/** @typedef {import('./user.js').User} User */

/** Says something `rate` times a second until the end. @param {User} user */
export function talk(user) {
  return user.every(1000 / user.settings.rate, () => user.say());
}
