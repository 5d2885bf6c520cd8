# SPDX-License-Identifier: Apache-2.0
"""Programs for the project itself: the documentation site and the release."""
