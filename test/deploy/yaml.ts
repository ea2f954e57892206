/** YAML as JavaScript values, by the parser that prettier brings: anchors, merges, flow and block forms, plain and quoted text. */
import { parsers } from 'prettier/plugins/yaml';

interface Node {
  readonly type: string;
  readonly children: readonly (Node | null)[];
  readonly value?: string;
  readonly anchor?: { readonly value: string } | null;
}

export type Yaml = string | null | readonly Yaml[] | YamlMap;
export interface YamlMap {
  readonly [key: string]: Yaml;
}

/** The first document; plain scalars stay text. Throws on bad YAML, unknown aliases and keys that come twice. */
export async function parseYaml(text: string): Promise<YamlMap> {
  const root = (await parsers.yaml.parse(text, {} as never)) as Node;
  const body = root.children[0]?.children.find((child) => child?.type === 'documentBody');
  return mapOf(read(body?.children[0], new Map()));
}

export function mapOf(value: Yaml | undefined): YamlMap {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`no map: ${JSON.stringify(value)}`);
  return value as YamlMap;
}

export function textOf(value: Yaml | undefined): string {
  if (typeof value !== 'string') throw new Error(`no text: ${JSON.stringify(value)}`);
  return value;
}

export function listOf(value: Yaml | undefined): readonly Yaml[] {
  if (!Array.isArray(value)) throw new Error(`no list: ${JSON.stringify(value)}`);
  return value as readonly Yaml[];
}

function read(node: Node | null | undefined, anchors: Map<string, Yaml>): Yaml {
  if (node === null || node === undefined || node.type === 'null') return null;
  const value = readContent(node, anchors);
  if (node.anchor) anchors.set(node.anchor.value, value);
  return value;
}

function readContent(node: Node, anchors: Map<string, Yaml>): Yaml {
  switch (node.type) {
    case 'mapping':
    case 'flowMapping':
      return readMap(node, anchors);
    case 'sequence':
    case 'flowSequence':
      return node.children.map((item) => read(isItem(item) ? item?.children[0] : item, anchors));
    case 'alias': {
      const value = anchors.get(node.value ?? '');
      if (value === undefined) throw new Error(`unknown alias ${node.value}`);
      return value;
    }
    case 'plain':
    case 'quoteSingle':
    case 'quoteDouble':
    case 'blockLiteral':
    case 'blockFolded':
      return node.value ?? '';
    default:
      throw new Error(`YAML of the type ${node.type} is not read here`);
  }
}

function isItem(node: Node | null): boolean {
  return node?.type === 'sequenceItem' || node?.type === 'flowSequenceItem';
}

function readMap(node: Node, anchors: Map<string, Yaml>): YamlMap {
  const merged: Record<string, Yaml> = {};
  const own: Record<string, Yaml> = {};
  for (const item of node.children) {
    const [key, value] = item?.children ?? [];
    const name = textOf(read(key?.children[0], anchors));
    const content = read(value?.children[0], anchors);
    if (name === '<<') Object.assign(merged, mapOf(content));
    else if (name in own) throw new Error(`the key ${name} comes twice`);
    else own[name] = content;
  }
  return { ...merged, ...own };
}
