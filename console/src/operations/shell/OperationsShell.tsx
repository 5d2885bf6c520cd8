// SPDX-License-Identifier: Apache-2.0
// The frame of each page of operations: navigation with counts, toolbar, notices, and shortcuts.
import { Outlet } from '@tanstack/react-router';
import { useCallback, useState } from 'react';

import { useSession } from '../../session/SessionContext';
import { useShortcuts } from '../keyboard/useShortcuts';
import { ShortcutList } from '../keyboard/ShortcutList';
import { useReachabilityWatch } from '../live/reachability';
import { Notices } from './Notices';
import './operations.css';
import { SideNavigation } from './SideNavigation';
import { Toolbar } from './Toolbar';

export default function OperationsShell() {
  const [isListOpen, setIsListOpen] = useState(false);
  const showList = useCallback(() => setIsListOpen(true), []);
  useReachabilityWatch();
  useShortcuts(showList);
  return (
    <div className="operations">
      <SideNavigation />
      <div className="operations-page">
        <Toolbar onListKeys={showList} />
        <OtherHost />
        <Notices />
        <Outlet />
      </div>
      {isListOpen && <ShortcutList onClose={() => setIsListOpen(false)} />}
    </div>
  );
}

/** Sessions of the portal's host name hold no operator's rights where operations have a host name of their own. */
function OtherHost() {
  const { console_host: host } = useSession();
  if (!host || host === window.location.host) return null;
  return (
    <p>
      Operators work at <a href={`https://${host}/app/ops`}>{host}</a>.
    </p>
  );
}
