import { useState } from 'preact/hooks';

/** Runs each change of a setting, also while one before is under way: the setting shows every click at once. */
export function useChange(): {
  readonly error: string | undefined;
  readonly change: (action: () => Promise<void>) => void;
} {
  const [error, setError] = useState<string>();
  const change = (action: () => Promise<void>): void => {
    action().then(
      () => setError(undefined),
      (thrown: unknown) => setError(thrown instanceof Error ? thrown.message : String(thrown)),
    );
  };
  return { error, change };
}
