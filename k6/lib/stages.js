// @ts-check
/** Stages of growing load, and the message by which one virtual user stops the run for all. */

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
 * Judges each stage of one user when the next begins, by the acks of the user's sends. Virtual users share no memory, but
 * they share a server. The stop is a message in a room that the first user of each virtual user is in. A user that joins that
 * room later sees that the room has a message.
 * @param {import('./user.js').User} user
 * @returns {(stage: number) => void} call it with the stage before each send
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
