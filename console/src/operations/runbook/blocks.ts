// SPDX-License-Identifier: Apache-2.0
// Reads the Markdown that the runbook is written in: headings, paragraphs, code, lists and tables.

export type Block =
  | { kind: 'heading'; level: number; text: string; anchor: string }
  | { kind: 'paragraph'; text: string }
  | { kind: 'code'; code: string }
  | { kind: 'list'; items: string[] }
  | { kind: 'table'; head: string[]; rows: string[][] };

/** Returns the anchor of a heading, as GitHub and the documentation site make it. */
export function anchorOf(heading: string): string {
  const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '');
  return words.trim().replaceAll(/\s/g, '-');
}

export function blocksOf(markdown: string): Block[] {
  const lines = markdown.split('\n');
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const [block, nextLine] = blockAt(lines, at);
    if (block) blocks.push(block);
    at = nextLine;
  }
  return blocks;
}

/** Returns the block that begins at a line, and the number of the line after it. A blank line has no block. */
function blockAt(lines: string[], at: number): [block: Block | null, nextLine: number] {
  const line = lines[at] ?? '';
  if (!line.trim()) return [null, at + 1];
  const heading = /^(#+) (.*)$/.exec(line);
  if (heading) {
    const text = heading[2] ?? '';
    return [{ kind: 'heading', level: heading[1]?.length ?? 1, text, anchor: anchorOf(text) }, at + 1];
  }
  if (line.startsWith('```')) {
    const end = endOf(lines, at + 1, (each) => each.startsWith('```'));
    return [{ kind: 'code', code: lines.slice(at + 1, end).join('\n') }, end + 1];
  }
  const end = endOf(lines, at, (each) => !each.trim());
  const text = lines.slice(at, end);
  if (line.startsWith('|')) return [tableOf(text), end];
  if (/^(\*|-|\d+\.) /.test(line)) return [{ kind: 'list', items: itemsOf(text) }, end];
  return [{ kind: 'paragraph', text: text.join(' ') }, end];
}

function endOf(lines: string[], from: number, isEnd: (line: string) => boolean): number {
  const offset = lines.slice(from).findIndex(isEnd);
  return offset === -1 ? lines.length : from + offset;
}

function tableOf(lines: string[]): Block {
  const [head = [], , ...rows] = lines.map(cellsOf);
  return { kind: 'table', head, rows };
}

function cellsOf(line: string): string[] {
  return line
    .replace(/^\|/, '')
    .replace(/\|\s*$/, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll(String.raw`\|`, '|'));
}

function itemsOf(lines: string[]): string[] {
  const items: string[] = [];
  for (const line of lines) {
    const marker = /^(?:\*|-|\d+\.) (.*)$/.exec(line);
    if (marker) items.push(marker[1] ?? '');
    else items.push(`${items.pop() ?? ''} ${line.trim()}`);
  }
  return items;
}

export type Span =
  | { kind: 'text' | 'code' | 'emphasis' | 'strong'; text: string }
  | { kind: 'link'; text: string; to: string };

const SPAN = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)]+)\)/g;

/** Returns the parts of a text: code, emphasis and links. */
export function spansOf(text: string): Span[] {
  const spans: Span[] = [];
  let at = 0;
  for (const match of text.matchAll(SPAN)) {
    if (match.index > at) spans.push({ kind: 'text', text: text.slice(at, match.index) });
    spans.push(spanOf(match));
    at = match.index + match[0].length;
  }
  if (at < text.length) spans.push({ kind: 'text', text: text.slice(at) });
  return spans;
}

/** Returns the span of a match: one of the groups of `SPAN` has a text. */
function spanOf([, code, strong, emphasis, link, to]: RegExpExecArray): Span {
  if (code !== undefined) return { kind: 'code', text: code };
  if (strong !== undefined) return { kind: 'strong', text: strong };
  if (emphasis !== undefined) return { kind: 'emphasis', text: emphasis };
  return { kind: 'link', text: link ?? '', to: to ?? '' };
}
