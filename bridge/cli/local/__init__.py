# SPDX-License-Identifier: Apache-2.0
"""The whole system on one machine: ``mlflow-bridge up``."""
