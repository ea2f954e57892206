/** Renders docs/config.md from the keys themselves. */
import { configKeys } from './keys/all.ts';

export function renderConfig(): string {
  const rows = Object.values(configKeys).map((key) => {
    const byDefault = 'default' in key && key.default !== '' ? `\`${key.default}\`` : '';
    return `| \`${key.env}\` | ${byDefault} | ${key.about}${'secret' in key ? ' Never shown.' : ''} |`;
  });
  return [
    '<!-- Generated from src/config/keys/. Renew with: npm test -- -u -->',
    '# Configuration',
    'Parley reads environment variables once, at its start. One error lists every bad value and every unknown `PARLEY_*` key, with the expected form. `parley doctor` prints the values in force. Sizes take `k`, `m`, `g`.',
    'Parley never shows some of the keys. The value of such a key may be in a file: `DATABASE_URL_FILE=/run/secrets/database` names the file with the value of `DATABASE_URL`. Set one of the two keys, not both.',
    ['| key | default | meaning |', '| --- | --- | --- |', ...rows].join('\n'),
    '',
  ].join('\n\n');
}
