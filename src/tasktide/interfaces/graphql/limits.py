"""How much one operation may ask for."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)
from strawberry.extensions import SchemaExtension

from tasktide.domain.paging import DEFAULT_LIMIT, MAX_LIMIT
from tasktide.interfaces.graphql.context import Context

DEPTH = 12
ALIASES = 50
TOKENS = 2_000
# Fields of an answer, about: the largest page of tasks with creator, performer and observers fits.
COST = 50_000
# Lists that are pages though they say nothing of their length, and how many users a task is told to, at most.
PAGES = frozenset({"users", "tasks", "notifications", "letters", "history"})
OBSERVERS = 100
_DIGITS = 9


class CostLimiter(SchemaExtension):
    """Refuses an operation whose answer would have too many fields.

    A field costs one; what stands below a page is counted as often as the page is long (`first`), what stands below
    the outcomes of a change of many as often as there are ids. It looks before anything else does: the rules that
    come after it walk fragments as often as they are spread, which doubles with each level of a malicious document.
    """

    def on_validate(self) -> Iterator[None]:
        """Count before the document is checked: errors that come later are not looked at any more."""
        context = self.execution_context
        if context.graphql_document is not None:
            refused = _refusal(context.graphql_document, context.variables or {})
            if refused is None and _is_subscription(context.graphql_document, context.operation_name):
                caller = context.context
                if isinstance(caller, Context) and not caller.is_socket:
                    refused = GraphQLError("Subscriptions need a WebSocket: graphql-transport-ws at this same path.")
            if refused is not None:
                context.pre_execution_errors = [refused]
        yield


def _refusal(document: DocumentNode, variables: Mapping[str, Any]) -> GraphQLError | None:
    costs = _Costs(document, variables)
    try:
        cost = costs.most()
    except _UnknownFragment as unknown:
        return GraphQLError(f'Unknown fragment "{unknown}".')
    if cost <= COST:
        return None
    told = f"The document asks for more than {COST} fields: ask for shorter pages or fewer fields."
    return GraphQLError(told, extensions={"code": "too_costly"})


def _is_subscription(document: DocumentNode, name: str | None) -> bool:
    operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
    wanted = [one for one in operations if name is None or (one.name and one.name.value == name)]
    return any(one.operation is OperationType.SUBSCRIPTION for one in wanted)


class _UnknownFragment(Exception):
    """A fragment that is spread and not there."""


class _Costs:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        parts = document.definitions
        self._operations = [part for part in parts if isinstance(part, OperationDefinitionNode)]
        self._fragments = {part.name.value: part for part in parts if isinstance(part, FragmentDefinitionNode)}
        self._variables = variables
        self._defaults: dict[str, ValueNode] = {}
        self._known: dict[str, int] = {}

    def most(self) -> int:
        """The cost of the costliest operation or fragment: whatever is in the document may be walked."""
        costs = [0]
        for operation in self._operations:
            for one in operation.variable_definitions or ():
                if one.default_value is not None:
                    self._defaults[one.variable.name.value] = one.default_value
            costs.append(self._selection(operation.selection_set))
        return max(*costs, *(self._fragment(name) for name in self._fragments), 0)

    def _selection(self, selected: SelectionSetNode | None) -> int:
        cost = 0
        for node in selected.selections if selected else ():
            match node:
                case FieldNode():
                    cost += 1 + self._times(node) * self._selection(node.selection_set)
                case FragmentSpreadNode():
                    cost += self._fragment(node.name.value)
                case InlineFragmentNode():
                    cost += self._selection(node.selection_set)
            if cost > COST:
                return COST + 1
        return cost

    def _fragment(self, name: str) -> int:
        if name not in self._known:
            if name not in self._fragments:
                raise _UnknownFragment(name[:100])
            self._known[name] = COST + 1  # what a cycle costs
            self._known[name] = self._selection(self._fragments[name].selection_set)
        return self._known[name]

    def _times(self, field: FieldNode) -> int:
        """How often what stands below a field may come."""
        if field.selection_set is None:
            return 1
        arguments = {argument.name.value: argument.value for argument in field.arguments or ()}
        if "first" in arguments:
            return self._number(arguments["first"])
        if "ids" in arguments:
            return self._length(arguments["ids"])
        if field.name.value == "observers":
            return OBSERVERS
        return DEFAULT_LIMIT if field.name.value in PAGES else 1

    def _number(self, value: ValueNode) -> int:
        """The length of a page; the longest where it cannot be known."""
        found: Any = None
        if isinstance(value, VariableNode):
            name = value.name.value
            if name in self._variables:
                found = self._variables[name]
            elif isinstance(default := self._defaults.get(name), IntValueNode):
                value = default
        if isinstance(value, IntValueNode) and len(value.value) <= _DIGITS:
            found = int(value.value)
        return min(int(found), MAX_LIMIT) if isinstance(found, int | float) and 0 < found < MAX_LIMIT else MAX_LIMIT

    def _length(self, value: ValueNode) -> int:
        found = self._variables.get(value.name.value) if isinstance(value, VariableNode) else None
        if isinstance(value, ListValueNode):
            return max(1, len(value.values))
        return max(1, len(found)) if isinstance(found, list) else MAX_LIMIT
