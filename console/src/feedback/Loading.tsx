// SPDX-License-Identifier: Apache-2.0
// Says that something loads, once that takes long enough to be noticed.
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useEffect, useState } from 'react';

const NOTICE_AFTER_MS = 300;

export function Loading({ label }: { label: string }) {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setVisible(true), NOTICE_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="loading" role="status">
      {visible && <StatusIndicator type="loading">Loading {label}</StatusIndicator>}
    </div>
  );
}
