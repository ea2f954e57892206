import { expect, it } from 'vitest';
import { renderErrors, renderProtocol } from '../../src/protocol/document.ts';
import { renderRooms } from '../../src/protocol/permissions-document.ts';
import { renderConfig } from '../../src/config/document.ts';

// Each page is compared with the schemas. `npm test -- -u` writes the pages again.
it.each([
  ['protocol.md', renderProtocol],
  ['errors.md', renderErrors],
  ['config.md', renderConfig],
  ['rooms.md', renderRooms],
])('docs/%s says what the code says', async (file, render) => {
  await expect(render()).toMatchFileSnapshot(`../../docs/${file}`);
});
