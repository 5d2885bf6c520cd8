# SPDX-License-Identifier: Apache-2.0
"""What reaching SageMaker MLflow takes: the endpoint, credentials, Signature Version 4."""
