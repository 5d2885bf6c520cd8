// SPDX-License-Identifier: Apache-2.0
// How a key is used: with MLflow's client, with curl, and with AWS's plugin for MLflow.

export interface KeyUse {
  title: string;
  description: string;
  code: string;
}

/** Returns the ways to use a key for bearer tokens. `origin` is the bridge's address. */
export function bearerUses(origin: string): KeyUse[] {
  return [
    {
      title: "MLflow's client",
      description: 'Works without a change of the code.',
      code: `export MLFLOW_TRACKING_URI=${origin}
export MLFLOW_TRACKING_TOKEN=YOUR-KEY
python -c 'import mlflow; print(mlflow.search_experiments())'`,
    },
    {
      title: 'curl',
      description: 'Any tool that sends the header Authorization: Bearer YOUR-KEY works in the same way.',
      code: `export MLFLOW_TRACKING_TOKEN=YOUR-KEY
curl -sS --oauth2-bearer "$MLFLOW_TRACKING_TOKEN" '${origin}/api/2.0/mlflow/experiments/search?max_results=5'`,
    },
  ];
}

/** Returns the way to use a key for AWS Signature Version 4. */
export function signatureUses(origin: string): KeyUse[] {
  return [
    {
      title: "AWS's plugin for MLflow (sagemaker-mlflow)",
      description: 'It signs its requests. AWS_SESSION_TOKEN must not be set.',
      code: `export AWS_ACCESS_KEY_ID=YOUR-KEY-ID AWS_SECRET_ACCESS_KEY=YOUR-SECRET
export MLFLOW_TRACKING_URI=arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME
export SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT=${origin}
unset AWS_SESSION_TOKEN
python -c 'import mlflow; print(mlflow.search_experiments())'`,
    },
  ];
}
