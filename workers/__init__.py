# SPDX-License-Identifier: Apache-2.0
"""How writes go out: Celery worker processes. Each task is a call into `bridge`."""
