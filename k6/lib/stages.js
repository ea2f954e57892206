// @ts-check
/** Stages of growing load, and the way in which one virtual user calls off the run for all. */

/**
 * @template {{users: number, step: number, stage: number, seconds: number}} T
 * @param {T} settings
 * @returns {T} with the seconds that its stages take
 */
export function stageSeconds(settings) {
  return { ...settings, seconds: Math.ceil(settings.users / settings.step) * settings.stage };
}

/**
 * @param {{start: number}} run
 * @param {Record<string, number>} settings
 * @param {number} at
 */
export const stageOf = ({ start }, settings, at) => Math.floor((at - start) / 1000 / (settings['stage'] ?? 1));

/**
 * Judges each stage of one user when the next begins, by the acks of its own sends. Virtual users share no memory, but
 * they share a server: the word goes round as a message in a room that the first user of each is in, and who joins that
 * room later sees that something was said there.
 * @param {import('./user.js').User} user
 * @returns {(stage: number) => void} to be told the stage before each send
 */
export function stopWhenBroken(user) {
  const control = user.rooms[1];
  const { breakMs = 2000, breakPercent = 5 } = /** @type {Record<string, number>} */ (user.settings);
  if (control !== undefined && (user.heads.get(control) ?? 0) > 0) user.callOff();
  let current = 0;
  return (stage) => {
    if (control === undefined || stage === current) return;
    current = stage;
    const { p95, late } = user.takeAcks(breakMs);
    if (p95 <= breakMs && late * 100 <= breakPercent) return;
    user.callOff();
    const word = { room: control, id: crypto.randomUUID(), body: { k6: 'stop' } };
    void user.client.persist('message:send', word).catch(() => undefined);
  };
}
