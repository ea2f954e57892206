import type { JSX } from 'preact';
import type { Choice } from './choices.ts';

interface SelectProps {
  label: string;
  choices: readonly Choice[];
  value: number | undefined;
  disabled?: boolean;
  hint?: string;
  onChoose: (value: number | undefined) => void;
}

/** A choice of a few durations or numbers. */
export function Select({ label, choices, value, disabled = false, hint, onChoose }: SelectProps): JSX.Element {
  return (
    <label class="field">
      <span>{label}</span>
      <select
        disabled={disabled}
        value={String(value)}
        onChange={(event) => onChoose(choices[event.currentTarget.selectedIndex]?.value)}
      >
        {choices.map((choice) => (
          <option key={String(choice.value)} value={String(choice.value)}>
            {choice.label}
          </option>
        ))}
      </select>
      {hint !== undefined && <span class="muted hint-text">{hint}</span>}
    </label>
  );
}
