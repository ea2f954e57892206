/** The SQL functions of a database, as migrations/functions has them. */
import type postgres from 'postgres';

export interface SqlFunction {
  readonly name: string;
  /** Types of its arguments, as in `add_member(text,text)`. */
  readonly signature: string;
  /** From `create or replace function` to the last semicolon, in the form of migrations/functions. */
  readonly statement: string;
  readonly source: string;
  /** An index, a trigger, a default, a generated column or a constraint uses the function, directly or by another one. */
  readonly anchored: boolean;
}

/** By name; of one name the function with most arguments comes first. Without those of extensions. */
export async function listFunctions(sql: postgres.Sql): Promise<SqlFunction[]> {
  const rows = await sql<{ name: string; signature: string; definition: string; source: string; direct: boolean }[]>`
    select p.proname as name, replace(p.oid::regprocedure::text, ' ', '') as signature,
      pg_get_functiondef(p.oid) as definition, p.prosrc as source,
      exists (
        select from pg_depend d where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid
          and d.classid <> 'pg_proc'::regclass and d.deptype in ('n', 'a')) as direct
    from pg_proc p
    where p.pronamespace = current_schema()::regnamespace and p.prokind = 'f' and not exists (
      select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    order by p.proname, p.pronargs desc`;
  // The catalogue does not know which functions a body calls, since a body is a text.
  const names = [...new Set(rows.map(({ name }) => name))];
  const anchored = new Set<string>();
  const anchor = (name: string): void => {
    if (anchored.has(name)) return;
    anchored.add(name);
    const sources = rows.filter((row) => row.name === name).map(({ source }) => source);
    for (const other of names) {
      if (sources.some((source) => new RegExp(`\\b${other}\\s*\\(`).test(source))) anchor(other);
    }
  };
  for (const { name, direct } of rows) if (direct) anchor(name);
  return rows.map(({ name, signature, definition, source }) => ({
    name,
    signature,
    statement: statementOf(definition),
    source,
    anchored: anchored.has(name),
  }));
}

const shape =
  /^CREATE OR REPLACE FUNCTION \w+\.(\w+)\((.*)\)\n RETURNS (.*)\n LANGUAGE (\w+)\n((?: .*\n)*)AS \$function\$([\s\S]*)\$function\$\n$/;

/** A definition of `pg_get_functiondef` in lower case and lines of at most 120 characters; the body stays as it is. */
function statementOf(definition: string): string {
  const [, name, parameters = '', result = '', language, options = '', body = ''] = shape.exec(definition) ?? [];
  if (name === undefined) throw new Error(`Postgres prints a function in an unknown form: ${definition}`);
  if (body.includes('$$')) throw new Error(`The body of ${name} has the quotes of the file in it`);
  const columns = /^TABLE\((.*)\)$/.exec(result)?.[1];
  const lines = options.split('\n').map((line) => line.trim());
  const settings = lines.flatMap((line) => {
    const [, setting, value] = /^SET (\w+) TO '(.*)'$/.exec(line) ?? [];
    return setting === undefined ? [] : [`set ${setting} = ${value}`];
  });
  const attributes = lines.filter((line) => line !== '' && !line.startsWith('SET ')).map((line) => line.toLowerCase());
  return [
    list(`create or replace function ${name}(`, short(parameters), ')'),
    columns === undefined ? `returns ${short(result)}` : list('returns table (', short(columns), ')'),
    ['language', language, ...attributes].join(' '),
    ...(settings.length === 0 ? [] : [settings.join(' ')]),
    `as $$${body}$$;`,
  ].join('\n');
}

const short = (text: string): string =>
  text
    .replaceAll('timestamp with time zone', 'timestamptz')
    .replaceAll('OUT ', 'out ')
    .replaceAll(' DEFAULT ', ' default ')
    .replaceAll('SETOF ', 'setof ');

function list(before: string, items: string, after: string): string {
  const one = `${before}${items}${after}`;
  if (one.length <= 120) return one;
  const lines: string[] = [];
  for (const item of items.split(/(?<=,) /)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + item.length <= 120) lines[lines.length - 1] = `${last} ${item}`;
    else lines.push(`  ${item}`);
  }
  return [before, ...lines, after].join('\n');
}
