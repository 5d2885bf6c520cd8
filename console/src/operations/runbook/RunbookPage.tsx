// SPDX-License-Identifier: Apache-2.0
// The runbook of this version. It is part of the build, so that no other server is needed to read it.
import { useLocation } from '@tanstack/react-router';
import { useEffect } from 'react';

import runbook from '../../../../docs/how-to/runbook.md?raw';
import { CodeBlock } from '../../feedback/CodeBlock';
import { usePageTitle } from '../../shell/usePageTitle';
import { type Block, blocksOf, type Span, spansOf } from './blocks';

const BLOCKS = blocksOf(runbook);

export default function RunbookPage() {
  usePageTitle('Runbook');
  const hash = useLocation({ select: (location) => location.hash });
  useEffect(() => {
    document.getElementById(hash)?.scrollIntoView();
    document.getElementById(hash)?.focus({ preventScroll: true });
  }, [hash]);
  return (
    <article className="runbook">
      {BLOCKS.map((block, index) => (
        <BlockView key={index} block={block} label={`commands ${index}`} />
      ))}
    </article>
  );
}

function BlockView({ block, label }: { block: Block; label: string }) {
  switch (block.kind) {
    case 'heading':
      return <Heading level={block.level} anchor={block.anchor} text={block.text} />;
    case 'code':
      return <CodeBlock code={block.code} label={label} />;
    case 'list':
      return (
        <ul>
          {block.items.map((item) => (
            <li key={item}>
              <Text text={item} />
            </li>
          ))}
        </ul>
      );
    case 'table':
      return <Table label={label.replace('commands', 'table')} head={block.head} rows={block.rows} />;
    default:
      return (
        <p>
          <Text text={block.text} />
        </p>
      );
  }
}

function Heading({ level, anchor, text }: { level: number; anchor: string; text: string }) {
  if (level === 1) return <h1 id={anchor}>{text}</h1>;
  const Level = level === 2 ? 'h2' : 'h3';
  return (
    <Level id={anchor} tabIndex={-1}>
      {text}
    </Level>
  );
}

function Table({ label, head, rows }: { label: string; head: string[]; rows: string[][] }) {
  return (
    // A scrollable region has to be reached by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="scrolled" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map((cell) => (
              <th key={cell} scope="col">
                <Text text={cell} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((cells, row) => (
            <tr key={row}>
              {cells.map((cell, column) => (
                <td key={column}>
                  <Text text={cell} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Text({ text }: { text: string }) {
  return spansOf(text).map((span, index) => <SpanView key={index} span={span} />);
}

function SpanView({ span }: { span: Span }) {
  if (span.kind === 'code') return <code>{span.text}</code>;
  if (span.kind === 'emphasis') return <em>{span.text}</em>;
  if (span.kind === 'strong') return <strong>{span.text}</strong>;
  // The console has no other documents that a link could open.
  if (span.kind === 'link' && span.to.startsWith('#')) return <a href={span.to}>{span.text}</a>;
  return span.text;
}
