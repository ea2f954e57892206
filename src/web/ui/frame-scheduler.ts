/** Renders at most once a frame, however often the values change. */

/** A hidden page has no frames, but its title and its marks still have to follow. */
const longestMs = 100;

const waiting = new Set<() => void>();
let frame: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Calls `draw` before the next paint. The same function is called once, however often it was given. */
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
