/**
 * The code spans of a text: between two runs of backticks. Pure, one pass. A longer run contributes only as many
 * backticks as the shorter one has; the others may open the next span.
 */
export type Span = readonly [from: number, to: number];

export function codeSpans(text: string): Span[] {
  const spans: Span[] = [];
  let from = text.indexOf('`');
  while (from >= 0) {
    const opened = endOfRun(text, from);
    const closing = text.indexOf('`', opened);
    if (closing < 0) break;
    const closed = endOfRun(text, closing);
    const length = Math.min(opened - from, closed - closing);
    const to = closing + length;
    spans.push([opened - length, to]);
    from = text.indexOf('`', to);
  }
  return spans;
}

/** @returns whether a place is inside of code; the places must ascend */
export function insideCode(text: string): (place: number) => boolean {
  const spans = codeSpans(text);
  let next = 0;
  return (place) => {
    while (next < spans.length && (spans[next]?.[1] ?? 0) <= place) next += 1;
    const span = spans[next];
    return span !== undefined && place > span[0];
  };
}

function endOfRun(text: string, from: number): number {
  let end = from;
  while (text[end] === '`') end += 1;
  return end;
}
