# SPDX-License-Identifier: Apache-2.0
"""What the api does for browsers: the console's files, their security headers, and sign-in."""
