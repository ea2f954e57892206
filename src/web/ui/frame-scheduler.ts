/** Drawing what changed once a frame, however often it changed in between. */

/** A page that is not looked at has no frames; its title and its marks still have to follow. */
const longestMs = 100;

const waiting = new Set<() => void>();
let frame: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Before the next frame is painted. The same `draw` given again is called once. */
export function scheduleDraw(draw: () => void): void {
  waiting.add(draw);
  frame ??= requestAnimationFrame(drawNow);
  timer ??= setTimeout(drawNow, longestMs);
}

export function cancelDraw(draw: () => void): void {
  waiting.delete(draw);
}

function drawNow(): void {
  if (frame !== undefined) cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = undefined;
  timer = undefined;
  const draws = [...waiting];
  waiting.clear();
  for (const draw of draws) draw();
}
