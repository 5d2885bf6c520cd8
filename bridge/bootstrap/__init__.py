# SPDX-License-Identifier: Apache-2.0
"""The composition root: settings in, the parts of a process out."""
