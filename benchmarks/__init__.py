# SPDX-License-Identifier: Apache-2.0
"""Measures the bridge beside MLflow itself and a naive proxy, in one run: ``make bench``."""
