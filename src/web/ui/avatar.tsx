import type { JSX } from 'preact';

/** A colour that is the same on every device: it derives from the id, not from the name. */
function hueOf(id: string): number {
  let hash = 7;
  for (let at = 0; at < id.length; at += 1) hash = (Math.imul(hash, 31) + id.charCodeAt(at)) >>> 0;
  // Twelve hues that are easy to distinguish.
  return (hash % 12) * 30;
}

/** One segmenter for the page: creating one takes longer than the rest of an avatar. */
const segmenter = new Intl.Segmenter();
/** A room shows the same few names again and again. */
const maxKept = 1000;
const kept = new Map<string, string>();

function initialsOf(name: string): string {
  const known = kept.get(name);
  if (known !== undefined) return known;
  const initials = cutInitials(name);
  if (kept.size >= maxKept) kept.clear();
  kept.set(name, initials);
  return initials;
}

/** The first letters of the first and last word, by grapheme, so that an emoji or an accent stays whole. */
function cutInitials(name: string): string {
  const words = name.trim().split(/\s+/);
  const picked = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return picked
    .map((word) => firstOf(segmenter.segment(word ?? '')))
    .join('')
    .toUpperCase();
}

function firstOf(segments: Intl.Segments): string {
  for (const { segment } of segments) return segment;
  return '';
}

interface AvatarProps {
  id: string;
  name: string;
  size?: number;
  /** Shown by a dot; undefined: unknown, or not relevant here. */
  online?: boolean | undefined;
}

export function Avatar({ id, name, size = 36, online }: AvatarProps): JSX.Element {
  const style = { '--hue': `${hueOf(id)}`, '--size': `${size}px` };
  const face = (
    <span class="avatar" style={style} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
  // The dot has no text of its own: the text is beside the name, where it does not come first.
  return online === undefined ? face : <span class="presence" data-online={online} children={face} />;
}
