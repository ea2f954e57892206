/**
 * Makes text of users safe for a terminal. A terminal obeys control characters (C0, DEL and C1: colours, titles, the
 * clipboard, erased lines), and bidirectional controls change the order of a line. Each control is printed as an escape, such as `\u009b`.
 */
const controls =
  // eslint-disable-next-line no-control-regex -- the pattern searches for them
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const written = (control: string): string => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Keeps line ends and tabs: for lines that the program has made. */
export function printable(text: string): string {
  return text.replace(controls, written);
}

/** One value within a line: line ends and tabs become escapes too. */
export function printableValue(text: string): string {
  return printable(text).replace(/[\t\n]/g, written);
}
