/** FNV-1a: the same part of `parts` for a room on every node, and about as many rooms in each. */
export function partOf(room: string, parts: number): number {
  if (parts === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < room.length; i++) hash = Math.imul(hash ^ room.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % parts;
}
