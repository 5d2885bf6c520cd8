// SPDX-License-Identifier: Apache-2.0
// The sign-in page, `/app/sign-in?to=&error=`.
import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useEffect } from 'react';

import { ErrorPanel } from '../feedback/ErrorPanel';
import { Loading } from '../feedback/Loading';
import { usePageTitle } from '../shell/usePageTitle';
import { KeyForm } from './KeyForm';
import { oidcPath, safeReturnPath } from './returnPath';
import { sessionQuery, type SignInMethods } from './session';
import { signInError } from './signInErrors';

const route = getRouteApi('/sign-in');

export default function SignInPage() {
  usePageTitle('Sign in');
  const { to, error: code } = route.useSearch();
  const target = safeReturnPath(to);
  const { data, error, refetch } = useQuery(sessionQuery);
  useEffect(() => {
    // The whole page loads again, so that nothing of an earlier session stays in it.
    if (data?.signed_in) window.location.replace(target);
  }, [data?.signed_in, target]);
  return (
    <main className="sign-in">
      <Container
        header={
          <Header variant="h1" description={data?.label ?? undefined}>
            Sign in to MLflow Bridge
          </Header>
        }
      >
        <SpaceBetween size="l">
          {code && <SignInErrorAlert code={code} />}
          {error && <ErrorPanel error={error} onRetry={() => void refetch()} />}
          {!data && !error && <Loading label="the ways to sign in" />}
          {data && !data.signed_in && <MethodButtons methods={data.sign_in} target={target} />}
        </SpaceBetween>
      </Container>
    </main>
  );
}

function SignInErrorAlert({ code }: { code: string }) {
  const { problem, cause, action } = signInError(code);
  return (
    <Alert type="error" header={problem}>
      {cause} {action}
    </Alert>
  );
}

function MethodButtons({ methods, target }: { methods: SignInMethods; target: string }) {
  if (!methods.oidc && !methods.key) {
    return (
      <Alert type="warning" header="No sign-in with a browser is set up.">
        The bridge accepts other kinds of credentials only. Ask the operator to add keys or an OpenID provider.
      </Alert>
    );
  }
  return (
    <SpaceBetween size="l">
      {methods.oidc && (
        <Button variant="primary" href={oidcPath(target)} fullWidth>
          Sign in with your organisation
        </Button>
      )}
      {methods.oidc && methods.key && <Box textAlign="center">or</Box>}
      {methods.key && <KeyForm onSignedIn={() => undefined} />}
    </SpaceBetween>
  );
}
