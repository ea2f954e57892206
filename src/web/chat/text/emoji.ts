/** The emoji of the picker, with their names for screen readers. */
export const pickable: readonly (readonly [emoji: string, name: string])[] = [
  ['👍', 'thumbs up'],
  ['👎', 'thumbs down'],
  ['❤️', 'heart'],
  ['😂', 'tears of joy'],
  ['😊', 'smile'],
  ['😮', 'surprised'],
  ['😢', 'crying'],
  ['😡', 'angry'],
  ['🎉', 'celebration'],
  ['🙏', 'thank you'],
  ['👏', 'applause'],
  ['🔥', 'fire'],
  ['🚀', 'rocket'],
  ['👀', 'eyes'],
  ['💯', 'hundred points'],
  ['✅', 'done'],
  ['❌', 'no'],
  ['❓', 'question'],
  ['💡', 'idea'],
  ['🤔', 'thinking'],
  ['😎', 'cool'],
  ['💪', 'strong'],
  ['☕', 'coffee'],
  ['👋', 'wave'],
];

const names = new Map(pickable);

export function emojiName(emoji: string): string {
  return names.get(emoji) ?? emoji;
}
