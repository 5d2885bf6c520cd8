# SPDX-License-Identifier: Apache-2.0
"""The bridge's own routes, in Flask. Those that store writes are in `api.intake`, on the event loop."""
