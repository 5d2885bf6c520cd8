# SPDX-License-Identifier: Apache-2.0
"""SageMaker MLflow on AWS: its endpoint, credentials, and Signature Version 4."""
