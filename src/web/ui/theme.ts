import { computed, signal } from '@preact/signals';

/** Plain text, because public/theme.js reads it too. */
const key = 'parley.theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system.matches);
system.addEventListener('change', (event) => (systemDark.value = event.matches));
const chosen = signal(document.documentElement.dataset['theme']);

export const isDark = computed(() => (chosen.value === undefined ? systemDark.value : chosen.value === 'dark'));

/** A choice that equals the system's theme follows the system again. */
export function toggleTheme(): void {
  const dark = !isDark.value;
  chosen.value = dark === systemDark.value ? undefined : dark ? 'dark' : 'light';
  if (chosen.value === undefined) delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = chosen.value;
  try {
    if (chosen.value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, chosen.value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
