# SPDX-License-Identifier: Apache-2.0
"""What a request can be refused for before it becomes a write."""


class InvalidWrite(Exception):
    """The request can never become a write; the text says what is wrong, where, and what would be right.

    It is answered as MLflow answers: ``status`` with ``{"error_code", "message"}``.
    """

    def __init__(self, message: str, error_code: str = "INVALID_PARAMETER_VALUE", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code
        self.status = status


class MissingHeader(InvalidWrite):
    """A header that a call of MLflow's FastAPI requires is absent."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The header {name} is missing.", "BAD_REQUEST", 422)
        self.name = name
