# SPDX-License-Identifier: Apache-2.0
"""Worker processes: deliver writes to upstream. The only Celery code apart from the dispatch adapter."""
