/**
 * Parts of JSON text, found without parsing it. The bodies of messages are the text of their senders. `JSON.parse` would
 * change numbers that a double does not hold, and would cost more than the copy.
 */

/** Where the value of each member of an object begins and ends in the text, by name. */
export type Members = ReadonlyMap<string, readonly [from: number, to: number]>;

const quote = 0x22;
const backslash = 0x5c;

/** @param json valid JSON text of an object at `from`, as JSON.stringify and Postgres write it */
export function membersOf(json: string, from = 0): Members {
  const members = new Map<string, readonly [number, number]>();
  let at = skipSpace(json, from + 1);
  while (json.charCodeAt(at) === quote) {
    const nameEnd = stringEnd(json, at);
    const name = JSON.parse(json.slice(at, nameEnd)) as string;
    const value = skipSpace(json, skipSpace(json, nameEnd) + 1);
    const end = valueEnd(json, value);
    members.set(name, [value, end]);
    at = skipSpace(json, end);
    if (json[at] === ',') at = skipSpace(json, at + 1);
  }
  return members;
}

/** Where each element of the array at `from` begins and ends. */
export function elementsOf(json: string, from = 0): (readonly [from: number, to: number])[] {
  const elements: (readonly [number, number])[] = [];
  let at = skipSpace(json, from + 1);
  while (at < json.length && json[at] !== ']') {
    const end = valueEnd(json, at);
    elements.push([at, end]);
    at = skipSpace(json, end);
    if (json[at] === ',') at = skipSpace(json, at + 1);
  }
  return elements;
}

/** The text of a member; undefined: the object does not have it. */
export function textOf(json: string, members: Members, name: string): string | undefined {
  const place = members.get(name);
  return place === undefined ? undefined : json.slice(...place);
}

/** @returns the place after the string that begins at `from` */
function stringEnd(json: string, from: number): number {
  for (let at = json.indexOf('"', from + 1); at !== -1; at = json.indexOf('"', at + 1)) {
    let slashes = 0;
    while (json.charCodeAt(at - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  throw new SyntaxError('The JSON text ends in a string.');
}

/** @returns the place after the value that begins at `from` */
export function valueEnd(json: string, from: number): number {
  const first = json[from];
  if (first === '"') return stringEnd(json, from);
  if (first !== '{' && first !== '[') {
    let at = from;
    while (at < json.length && !',]} \n\r\t'.includes(json.charAt(at))) at++;
    return at;
  }
  let depth = 0;
  for (let at = from; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === quote) at = stringEnd(json, at) - 1;
    else if (code === 0x7b || code === 0x5b) depth++;
    else if (code === 0x7d || code === 0x5d) {
      depth--;
      if (depth === 0) return at + 1;
    }
  }
  throw new SyntaxError('The JSON text ends in a value.');
}

function skipSpace(json: string, from: number): number {
  let at = from;
  while (' \n\r\t'.includes(json.charAt(at)) && at < json.length) at++;
  return at;
}
