# SPDX-License-Identifier: Apache-2.0
"""The HTTP api, on MLflow's paths and on the bridge's own. The only package that imports Flask.

An event loop reads every request and writes every response, so that no thread waits for a slow client (docs/adr/0009).
It imports nothing here: the command line loads parts of it, and the whole takes a second.
"""
