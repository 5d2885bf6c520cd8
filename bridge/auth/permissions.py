# SPDX-License-Identifier: Apache-2.0
"""Explains permissions: the scope of an action, why a client may do it, and what a client may do beyond another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.administration import ActionDocument, PermissionDocument
from schemas.client import Client, Rule, Scope
from schemas.endpoints import ENDPOINTS, ExperimentRule


@dataclass(frozen=True, slots=True)
class ActionRule:
    """An action: the scope that includes it, and what its calls do for a client that is limited to experiments."""

    rule: Rule
    #: Whether it is an action of MLflow's calls, or of the bridge's own routes.
    of: Literal["mlflow", "bridge"]
    experiments: frozenset[ExperimentRule]

    @property
    def document(self) -> ActionDocument:
        """The action as operators see it."""
        scope = self.rule.scope
        return ActionDocument(action=self.rule.action, scope=_shown_scope(scope), of=self.of)


class Actions:
    """All actions: those of MLflow's calls and of the bridge's own routes."""

    def __init__(self, own: Iterable[tuple[Rule, ExperimentRule]]) -> None:
        """``own`` has the rules of the bridge's own routes; an action may have several."""
        rules: dict[str, ActionRule] = {}
        for endpoint in ENDPOINTS:
            scope = None if endpoint.grant == "-" else Scope(endpoint.grant)
            _add_rule(rules, Rule(endpoint.action, scope), "mlflow", endpoint.within)
        # A call that is in no table: MLflow's, and only for operators unless it reads.
        _add_rule(rules, Rule("CallUnknown"), "mlflow", ExperimentRule.REFUSED)
        for rule, experiments in own:
            _add_rule(rules, rule, "bridge", experiments)
        self._by_name: Mapping[str, ActionRule] = dict(sorted(rules.items()))

    def documents(self) -> list[ActionDocument]:
        """Return all actions, by name."""
        return [action.document for action in self._by_name.values()]

    def explain(self, client: Client, action: str, experiment_id: str | None = None) -> PermissionDocument | None:
        """Return whether a client may do an action, and why. None: there is no such action."""
        known = self._by_name.get(action)
        if known is None:
            return None
        because = _reason(client, known.rule)
        if not client.may(known.rule):
            return PermissionDocument(allowed=False, because=because)
        return _within_experiments(client, known, because, experiment_id)

    def beyond(self, client: Client, granter: Client) -> str | None:
        """Return a permission that ``client`` has and ``granter`` has not, None if there is none.

        A granter can only grant permissions of its own, and only an operator grants the scope of operators.
        """
        if client.is_operator and not granter.is_operator:
            return "the scope admin"
        limit = granter.experiments
        if limit is not None and (client.experiments is None or not client.experiments <= limit):
            return "calls outside its own experiments"
        for name, action in self._by_name.items():
            if client.may(action.rule) and not granter.may(action.rule):
                return name
        return None


def _add_rule(
    rules: dict[str, ActionRule], rule: Rule, of: Literal["mlflow", "bridge"], experiments: ExperimentRule
) -> None:
    known = rules.get(rule.action)
    if known is None:
        rules[rule.action] = ActionRule(rule, of, frozenset({experiments}))
    else:
        rules[rule.action] = ActionRule(known.rule, of, known.experiments | {experiments})


def _shown_scope(scope: Scope | None) -> Literal["write", "read"] | None:
    match scope:
        case Scope.WRITE:
            return "write"
        case Scope.READ:
            return "read"
    return None


def _reason(client: Client, rule: Rule) -> str:
    """Return why a client may or may not do an action, in the order in which `Client.may` decides."""
    if rule.action in client.deny:
        return "denied by name"
    if rule.scope in client.scopes:
        return f"scope {rule.scope}"
    if rule.action in client.allow:
        return "allowed by name"
    if client.is_operator:
        return "scope admin"
    return f"needs the scope {rule.scope}, or to be allowed by name" if rule.scope else "needs to be allowed by name"


def _within_experiments(
    client: Client, action: ActionRule, because: str, experiment_id: str | None
) -> PermissionDocument:
    """Return the explanation of an action that the client's scopes allow, by its limit to experiments."""
    if client.experiments is None or action.experiments == {ExperimentRule.HARMLESS}:
        return PermissionDocument(allowed=True, because=because)
    if action.experiments == {ExperimentRule.REFUSED}:
        return PermissionDocument(allowed=False, because="not for a client that is limited to experiments")
    if experiment_id is not None and experiment_id not in client.experiments:
        return PermissionDocument(allowed=False, because=f"limited to experiments, {experiment_id} is not one of them")
    return PermissionDocument(allowed=True, because=f"{because}, within its experiments")
