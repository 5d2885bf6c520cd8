// SPDX-License-Identifier: Apache-2.0
// A state: an icon in its colour beside the word, because a colour alone does not reach everyone. Narrow columns break
// the text between words only.
import Icon, { type IconProps } from '@cloudscape-design/components/icon';
import type { ReactNode } from 'react';

export type Mark = 'success' | 'info' | 'warning' | 'error' | 'stopped' | 'pending' | 'in-progress';

interface Props {
  type: Mark;
  size?: IconProps.Size;
  children?: ReactNode;
}

export function StatusMark({ type, size = 'inherit', children }: Props) {
  const [name, variant] = ICONS[type];
  return (
    <span className={`mark mark-${type}`}>
      <Icon name={name} variant={variant} size={size} />
      <span>{children}</span>
    </span>
  );
}

const ICONS: Record<Mark, [IconProps.Name, IconProps.Variant]> = {
  success: ['status-positive', 'success'],
  info: ['status-info', 'link'],
  warning: ['status-warning', 'warning'],
  error: ['status-negative', 'error'],
  stopped: ['status-stopped', 'subtle'],
  pending: ['status-pending', 'subtle'],
  'in-progress': ['status-in-progress', 'link'],
};
