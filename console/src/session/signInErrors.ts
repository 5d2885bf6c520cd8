// SPDX-License-Identifier: Apache-2.0
// Why a sign-in failed: problem, cause and action for each code of `/app/sign-in?error=`.

export interface SignInError {
  problem: string;
  cause: string;
  action: string;
}

const ERRORS: Record<string, SignInError> = {
  expired_state: {
    problem: 'The sign-in took too long.',
    cause: 'Its ten minutes were over, or it was begun in another browser or used before.',
    action: 'Sign in again.',
  },
  wrong_issuer: {
    problem: 'The answer came from another provider.',
    cause: 'The issuer in the answer is not the one that this bridge is set up for.',
    action: 'Do not try again. Report it to the operator of the bridge.',
  },
  provider_error: {
    problem: 'The provider did not sign you in.',
    cause: 'It refused, it was interrupted, or it cannot be reached.',
    action: 'Try again. If it fails again, ask the operator to look at the log of the bridge.',
  },
  not_permitted: {
    problem: 'You may not use this bridge.',
    cause: 'The provider knows you, but no permissions are stored for you here.',
    action: 'Ask an operator for access: mlflow-bridge keys update oidc:YOUR-SUBJECT',
  },
  exchange_failed: {
    problem: 'The sign-in could not be completed.',
    cause: 'The provider refused the code, or its token is not valid for this bridge.',
    action: 'Try again. If it fails again, ask the operator to look at the log of the bridge.',
  },
};

/** Returns the texts of a code. A code that this page does not know gets a general text. */
export function signInError(code: string): SignInError {
  return (
    ERRORS[code] ?? {
      problem: 'The sign-in failed.',
      cause: `The bridge reported: ${code.slice(0, 80)}.`,
      action: 'Try again.',
    }
  );
}
