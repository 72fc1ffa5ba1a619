/**
 * YAML as a tree of texts, lists and maps, each with its line. Of YAML only that is taken which says one thing to everybody:
 * no anchors and aliases, no tags and directives, one document, keys that are texts and stand there once.
 */
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
} from 'yaml';
import type { Faults } from './faults.ts';

export type Tree =
  | {
      readonly kind: 'text';
      readonly line: number;
      readonly text: string;
      /** YAML takes it for something else than a text: a number, true, false. */
      readonly isOther: boolean;
    }
  | { readonly kind: 'nothing'; readonly line: number }
  | { readonly kind: 'list'; readonly line: number; readonly items: readonly Tree[] }
  | {
      readonly kind: 'map';
      readonly line: number;
      readonly entries: readonly { readonly key: string; readonly line: number; readonly value: Tree }[];
    };

/** As large as a request to the API may be. */
export const mostBytes = 256 * 1024;

/** Text of a file that somebody wrote; null when it is none. */
export const textOf = (bytes: Uint8Array, faults: Faults): string | null => {
  if (bytes.length > mostBytes) return faults.add(null, '', `it is larger than ${mostBytes} bytes`);
  const text = utf8(bytes);
  if (text === null) return faults.add(null, '', 'it is not UTF-8 text');
  const strange = /[^\P{Cc}\t\r\n\u0085]/u.exec(text);
  if (strange !== null) {
    const code = strange[0].charCodeAt(0).toString(16).padStart(4, '0');
    return faults.add(lineAt(text, strange.index), '', `it holds the control character \\u${code}`);
  }
  return text;
};

/** Null when there are faults, or nothing in it. */
export const treeOf = (text: string, faults: Faults): Tree | null => {
  if (isTooDeep(text)) return faults.add(null, '', tooDeep);
  try {
    return treeIn(text, new LineCounter(), faults);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause; // The stack: nothing else that is parsed here can end so.
    return faults.add(null, '', tooDeep);
  }
};

const tooDeep = 'it is nested too deeply';
/** Of brackets that are open at once a fleet needs three; thousands of them would take the parser seconds. */
const mostBrackets = 100;
const isTooDeep = (text: string): boolean => {
  let open = 0;
  for (const letter of text) {
    if (letter === '[' || letter === '{') open += 1;
    else if (letter === ']' || letter === '}') open -= 1;
    if (open > mostBrackets) return true;
  }
  return false;
};

const utf8 = (bytes: Uint8Array): string | null => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
};

const lineAt = (text: string, index: number): number => text.slice(0, index).split('\n').length;

const treeIn = (text: string, lines: LineCounter, faults: Faults): Tree | null => {
  const directive = /^%.*/m.exec(text);
  if (directive !== null && text.slice(0, directive.index).trim() === '')
    return faults.add(lineAt(text, directive.index), '', 'directives are not taken: remove this line');
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false, // Looked for here, in less time.
    version: '1.2',
    schema: 'core',
    merge: false,
    logLevel: 'silent',
  });
  if (!Array.isArray(documents)) return null; // An empty stream.
  for (const { pos, message, code } of documents.flatMap(({ errors }) => errors))
    faults.add(
      lines.linePos(pos[0]).line,
      '',
      code === 'TAB_AS_INDENT' ? 'a tab indents it: use blanks' : said(message),
    );
  const [document, second] = documents;
  if (second !== undefined)
    faults.add(lines.linePos(second.range[0]).line, '', 'a second document begins here: one file holds one');
  if (faults.any || document === undefined) return null;
  const root = document.contents;
  const tree = root === null ? null : nodeOf(root, '', { lines, faults });
  return faults.any ? null : tree;
};

/** The library's words, the first sentence of them, without what a file may have put there. */
const said = (message: string): string => `it is not YAML: ${(message.split('\n')[0] ?? '').slice(0, 200)}`;

interface Walk {
  readonly lines: LineCounter;
  readonly faults: Faults;
}

const nodeOf = (node: Node | null, path: string, walk: Walk): Tree => {
  const line = node?.range == null ? 1 : walk.lines.linePos(node.range[0]).line;
  const nothing: Tree = { kind: 'nothing', line };
  if (node === null) return nothing;
  const refused = whyNot(node);
  if (refused !== null) {
    walk.faults.add(line, path, refused);
    return nothing;
  }
  if (isScalar(node)) return scalarOf(node, line);
  if (isSeq(node)) {
    const items = node.items.map((item, index) => nodeOf(nodeIn(item), `${path}[${index}]`, walk));
    return { kind: 'list', line, items };
  }
  if (!isMap(node)) return nothing;
  const seen = new Set<string>();
  const entries = node.items.flatMap((pair) => {
    const key = keyOf(nodeIn(pair.key), path, walk);
    if (key === null) return [];
    const at = path === '' ? key.text : `${path}.${key.text}`;
    if (seen.has(key.text)) walk.faults.add(key.line, at, 'stands there twice');
    seen.add(key.text);
    const value = nodeIn(pair.value);
    return [
      {
        key: key.text,
        line: key.line,
        value: value === null ? ({ kind: 'nothing', line: key.line } as const) : nodeOf(value, at, walk),
      },
    ];
  });
  return { kind: 'map', line, entries };
};

const nodeIn = (value: unknown): Node | null =>
  isScalar(value) || isMap(value) || isSeq(value) || isAlias(value) ? value : null;

const whyNot = (node: Exclude<Node, never> | Alias): string | null => {
  if (isAlias(node)) return 'aliases are not taken: write out what it stands for';
  if (node.anchor !== undefined) return 'anchors are not taken: remove it';
  return node.tag === undefined ? null : 'tags are not taken: remove it';
};

const scalarOf = (node: Scalar, line: number): Tree => {
  const { value, source = '' } = node;
  if (value === null) return { kind: 'nothing', line };
  return typeof value === 'string'
    ? { kind: 'text', line, text: value, isOther: false }
    : { kind: 'text', line, text: source, isOther: true };
};

const keyOf = (
  node: Node | null,
  path: string,
  walk: Walk,
): { readonly text: string; readonly line: number } | null => {
  const tree = nodeOf(node, path, walk);
  if (tree.kind === 'text' && namesOfObjects.has(tree.text))
    return walk.faults.add(tree.line, path, `has the key "${tree.text}", which can be no name`);
  if (tree.kind === 'text' && !tree.isOther) return tree;
  walk.faults.add(tree.line, path, 'has a key that is no text: put it in quotes');
  return null;
};

/** Every object of JavaScript has these. */
const namesOfObjects: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
