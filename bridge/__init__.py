# SPDX-License-Identifier: Apache-2.0
"""What happens to writes between intake and upstream: the outbox, delivery, signing, proxying."""
