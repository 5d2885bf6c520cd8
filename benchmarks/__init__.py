# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: the bridge, MLflow itself and a naive proxy, side by side in one run (``make bench``)."""
