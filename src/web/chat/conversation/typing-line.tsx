import type { JSX } from 'preact';
import { nameOf } from '../members/people.ts';

/** Keeps its height when empty, so that the messages do not jump. */
export function TypingLine({ users }: { users: readonly string[] }): JSX.Element {
  return (
    <p class="typing" aria-live="polite">
      {users.length > 0 && (
        <>
          <span class="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          <span dir="auto">{sentence(users.map((id) => nameOf(id)))}</span>
        </>
      )}
    </p>
  );
}

function sentence(names: readonly string[]): string {
  const [first = '', second = ''] = names;
  if (names.length === 1) return `${first} is typing`;
  if (names.length === 2) return `${first} and ${second} are typing`;
  return `${first}, ${second} and ${names.length - 2} more are typing`;
}
