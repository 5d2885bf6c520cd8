// SPDX-License-Identifier: Apache-2.0
// The frame of all pages inside the portal.
import { Outlet, useLocation } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';

import { BacklogBar } from '../backlog/BacklogBar';
import { MlflowFrame } from '../mlflow/MlflowFrame';
import { SessionGate } from '../session/SessionGate';
import { useSession } from '../session/SessionContext';
import { Header } from './Header';

export function Shell() {
  return (
    <SessionGate>
      <Layout />
    </SessionGate>
  );
}

function Layout() {
  const session = useSession();
  const pathname = useLocation({ select: ({ pathname: path }) => path.replace(/\/$/, '') });
  const isInOperations = /^\/ops(\/|$)/.test(pathname);
  const showsFrame = pathname === '' && session.experiments === null;
  const mainElement = useRef<HTMLElement>(null);
  useFocusOnNewPage(pageOf(pathname), mainElement);
  return (
    <div className="shell">
      <a className="skip-link" href="#content" onClick={(event) => focusContent(event, mainElement.current)}>
        Skip to the content
      </a>
      <Header />
      <section aria-label="Notices">
        {session.via === 'none' && (
          <p className="shell-banner">No sign-in is set up: everybody on this machine may do everything.</p>
        )}
        {session.read_only && <p className="shell-banner">You may read, not write.</p>}
        {/* The pages of operations show the backlog of all clients instead. */}
        {!isInOperations && <BacklogBar />}
      </section>
      <main ref={mainElement} id="content" tabIndex={-1} className={showsFrame ? 'shell-frame' : 'shell-page'}>
        {session.experiments === null && <MlflowFrame visible={showsFrame} />}
        {!showsFrame && (
          <div className={isInOperations ? 'page-of-operations' : 'page'}>
            <Outlet />
          </div>
        )}
      </main>
    </div>
  );
}

/** Returns the page of an address. A dead letter opens beside the list, and takes the focus by itself. */
const pageOf = (pathname: string): string => pathname.replace(/^(\/ops\/dead-letters)\/.*/, '$1');

/** Moves the focus to the new page, so that a screen reader reads it and Tab goes on from there. */
function useFocusOnNewPage(pathname: string, mainElement: React.RefObject<HTMLElement | null>): void {
  const previousPathname = useRef(pathname);
  useEffect(() => {
    if (previousPathname.current !== pathname) mainElement.current?.focus({ preventScroll: true });
    previousPathname.current = pathname;
  }, [pathname, mainElement]);
}

/** Moves the focus without a change of the address: its hash is the place in MLflow's UI. */
function focusContent(event: React.MouseEvent, mainElement: HTMLElement | null): void {
  event.preventDefault();
  mainElement?.focus();
}
