/**
 * Prints the types of a client for the OpenAPI document on the standard input. `openapi-typescript` needs the programming
 * interface of TypeScript 5, and the project compiles with TypeScript 7. So its import of `typescript` gets `typescript-5`.
 */
import { register } from 'node:module';
import { text } from 'node:stream/consumers';

register(
  'data:text/javascript,' +
    encodeURIComponent(
      "export const resolve = (name, at, next) => next(name === 'typescript' ? 'typescript-5' : name, at);",
    ),
);
const { astToString, default: openapiTypescript } = await import('openapi-typescript');
const types = await openapiTypescript(JSON.parse(await text(process.stdin)));
process.stdout.write(
  `// openapi-typescript made this file of /api/v1/openapi.json; see typed-client.test.ts\n${astToString(types)}`,
);
