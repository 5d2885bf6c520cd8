# SPDX-License-Identifier: Apache-2.0
"""Validation errors of a request that is to become a write."""


class InvalidWrite(Exception):
    """The request is invalid. The message names the problem, the place and a valid value.

    The client receives MLflow's error document: ``status`` with ``{"error_code", "message"}``.
    """

    def __init__(self, message: str, error_code: str = "INVALID_PARAMETER_VALUE", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code
        self.status = status


class MissingHeader(InvalidWrite):
    """A header that MLflow's FastAPI routes require is missing."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The header {name} is missing.", "BAD_REQUEST", 422)
        self.name = name
