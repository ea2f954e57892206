/** REST as a page for people, made from OpenAPI: one file, without scripts and without anything from elsewhere. */
import { createHash } from 'node:crypto';
import { errorCatalogue } from '../protocol/errors.ts';
import { restErrorKinds } from '../protocol/rest-errors.ts';
import type { Json } from './json-schemas.ts';
import { openApi } from './openapi.ts';
import { Reply, type Operation } from './operation.ts';

const style = `
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1c1e21;background:#fff}
h2{border-bottom:1px solid #ddd;margin-top:2.5rem}h3{font:600 1rem/1.5 ui-monospace,monospace;margin-top:2rem}
code,pre{font:0.875rem/1.5 ui-monospace,monospace;background:#f4f5f7;border-radius:4px}code{padding:0 .25rem}
pre{padding:.75rem;overflow:auto}table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:.25rem .75rem .25rem 0;text-align:left;vertical-align:top}
.method{display:inline-block;min-width:4.5rem;color:#0b57d0}.scope{color:#5f6368}
@media(prefers-color-scheme:dark){body{color:#e8eaed;background:#1c1e21}code,pre{background:#2b2d31}.method{color:#8ab4f8}.scope{color:#9aa0a6}td,th,h2{border-color:#3c4043}}
`;

const styleHash = createHash('sha256').update(style).digest('base64');

export function docsPage(operations: readonly Operation[], version: string): Reply {
  const document = openApi(operations, version);
  const sections = document.tags.map(({ name }) => section(textOf(name), document.paths));
  const contents = document.tags.map(({ name }) => `<a href="#${escaped(textOf(name))}">${escaped(textOf(name))}</a>`);
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Parley REST</title><style>${style}</style></head><body>
<h1>Parley REST</h1>
<p>Version ${escaped(version)}. ${prose(textOf(document.info['description']))}</p>
<p>For programs: <a href="openapi.json">OpenAPI 3.1</a>, and <a href="asyncapi.json">AsyncAPI 3.0</a> of the socket.</p>
<p>${contents.join(' · ')} · <a href="#errors">errors</a></p>
${sections.join('\n')}
${errorTable()}
</body></html>
`;
  return new Reply(html, {
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'Cache-Control': 'no-cache',
    },
  });
}

function section(tag: string, paths: Readonly<Record<string, Json>>): string {
  const parts = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => ((operation as Json)['tags'] as string[]).includes(tag))
      .map(([method, operation]) => operationPart(method, path, operation as Json)),
  );
  return `<h2 id="${escaped(tag)}">${escaped(tag)}</h2>\n${parts.join('\n')}`;
}

function operationPart(method: string, path: string, operation: Json): string {
  const { operationId, description, parameters, requestBody, responses } = operation;
  const scope = operation['x-scope'];
  const body = (requestBody as { content: Json } | undefined)?.content;
  const [status, success] = Object.entries(responses as Record<string, Json>)[0] ?? ['', {}];
  const answer = success['content'] as Json | undefined;
  return [
    `<h3 id="${escaped(textOf(operationId))}"><span class="method">${method.toUpperCase()}</span> ${escaped(path)}</h3>`,
    `<p>${prose(textOf(description))}</p>`,
    typeof scope === 'string' ? `<p class="scope">Scope of API keys: <code>${escaped(scope)}</code></p>` : '',
    parameterTable(parameters as readonly Json[]),
    body === undefined ? '' : `<p>Body:</p>${schemaText(body)}`,
    answer === undefined ? '' : `<p>Answer ${escaped(status)}:</p>${schemaText(answer)}`,
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function parameterTable(parameters: readonly Json[]): string {
  if (parameters.length === 0) return '';
  const rows = parameters.map((parameter) => {
    const cells = [
      `<code>${escaped(textOf(parameter['name']))}</code>`,
      `${escaped(textOf(parameter['in']))}${parameter['required'] === true ? ', required' : ''}`,
      prose(textOf(parameter['description'])),
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>${rows.join('')}</table>`;
}

function schemaText(content: Json): string {
  const [type, { schema }] = (Object.entries(content)[0] ?? ['', {}]) as [string, { schema?: unknown }];
  return `<pre>${escaped(`${type}\n${JSON.stringify(schema, null, 1)}`)}</pre>`;
}

function errorTable(): string {
  const rows = Object.entries({ ...errorCatalogue, ...restErrorKinds }).map(
    ([code, { message, retryable, httpStatus }]) =>
      `<tr id="error-${code}"><td><code>${code}</code></td><td>${httpStatus}</td><td>${retryable ? 'yes' : 'no'}</td><td>${escaped(message)}</td></tr>`,
  );
  return `<h2 id="errors">errors</h2>
<table><tr><th>code</th><th>status</th><th>retryable</th><th>meaning</th></tr>${rows.join('')}</table>`;
}

/** Text with `code` in it. */
function prose(text: string): string {
  return escaped(text).replaceAll(/`([^`]*)`/g, '<code>$1</code>');
}

/** A text of the document; '' for anything else. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
