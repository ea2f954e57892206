/** Renders docs/config.md from the keys themselves. */
import { configKeys } from './config.ts';

export function renderConfig(): string {
  const rows = Object.values(configKeys).map((key) => {
    const byDefault = 'default' in key ? `\`${key.default}\`` : '';
    return `| \`${key.env}\` | ${byDefault} | ${key.about}${'secret' in key ? ' Never shown.' : ''} |`;
  });
  return [
    '<!-- Generated from src/config/config.ts. Renew with: npm test -- -u -->',
    '# Configuration',
    'By environment variables, read once at the start. Every bad value and every unknown `PARLEY_*` key is listed in one error with what was expected. `parley doctor` prints the values in force. Sizes take `k`, `m`, `g`.',
    'A key that is never shown may be in a file instead: `DATABASE_URL_FILE=/run/secrets/database` names the file that holds the value of `DATABASE_URL`. Set one of the two, not both.',
    ['| key | default | meaning |', '| --- | --- | --- |', ...rows].join('\n'),
    '',
  ].join('\n\n');
}
