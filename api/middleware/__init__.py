# SPDX-License-Identifier: Apache-2.0
"""Stages around the handlers of all requests: access log, rate limits, replay protection, host checks."""
