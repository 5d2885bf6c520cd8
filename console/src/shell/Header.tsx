// SPDX-License-Identifier: Apache-2.0
// The head of each page: product, environment, navigation, theme, and the visitor.
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { useFramePlace } from '../mlflow/framePlace';
import { useSession } from '../session/SessionContext';
import { signOut } from '../session/session';
import { switchTheme, useTheme } from './theme';

/** A visitor with any of these actions sees more under Operations than under My jobs. */
const OPERATIONS_ACTIONS = ['GetBacklog', 'GetWorkers', 'GetUpstream', 'GetClient', 'GetUsage', 'GetAudit'];

export function Header() {
  const { label } = useSession();
  return (
    <header className="header">
      <Link to="/" className="header-product">
        MLflow Bridge
      </Link>
      {label && (
        <span className="header-label">
          <span className="visually-hidden">Environment: </span>
          {label}
        </span>
      )}
      <Navigation />
      <div className="header-tools">
        <ThemeSwitch />
        <Visitor />
      </div>
    </header>
  );
}

function Navigation() {
  const place = useFramePlace();
  const { experiments, actions } = useSession();
  const hasOperations = OPERATIONS_ACTIONS.some((action) => actions.includes(action));
  const activeLink = { activeProps: { 'aria-current': 'page' as const } };
  return (
    <nav aria-label="Portal" className="header-navigation">
      <ul>
        <li>
          <Link
            to="/"
            hash={experiments === null ? place.slice(1) : ''}
            activeOptions={{ exact: true, includeHash: false }}
            {...activeLink}
          >
            Experiments
          </Link>
        </li>
        <li>
          <Link to="/jobs" {...activeLink}>
            My jobs
          </Link>
        </li>
        <li>
          <Link to="/keys" {...activeLink}>
            My keys
          </Link>
        </li>
        <li>
          <Link to="/api" {...activeLink}>
            API reference
          </Link>
        </li>
        {hasOperations && (
          <li>
            <Link to="/ops" {...activeLink}>
              Operations
            </Link>
          </li>
        )}
      </ul>
    </nav>
  );
}

function ThemeSwitch() {
  const dark = useTheme() === 'dark';
  return (
    <button type="button" className="header-button" aria-pressed={dark} onClick={switchTheme}>
      <span aria-hidden="true">{dark ? '☾' : '☀'}</span> Dark
      <span className="visually-hidden"> theme</span>
    </button>
  );
}

function Visitor() {
  const { display, client, via } = useSession();
  const signOutMutation = useMutation({
    mutationFn: signOut,
    onSuccess: ({ end_session_url }) => window.location.assign(end_session_url ?? '/app/sign-in'),
  });
  return (
    <>
      <span className="header-visitor" title={client}>
        <span className="visually-hidden">Signed in as </span>
        {display}
      </span>
      {via !== 'none' && (
        <button
          type="button"
          className="header-button"
          disabled={signOutMutation.isPending}
          onClick={() => signOutMutation.mutate()}
        >
          Sign out
        </button>
      )}
      {signOutMutation.error && (
        <span role="alert" className="header-error">
          Not signed out: {signOutMutation.error.message}
        </span>
      )}
    </>
  );
}
