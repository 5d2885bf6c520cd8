# SPDX-License-Identifier: Apache-2.0
"""Findings of cdk-nag that are accepted, each with its reason. Any other finding fails the checks."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept what a rule finds in this construct and below it."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
