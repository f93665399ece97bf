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
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)
from strawberry.extensions import SchemaExtension

from tasktide.domain.paging import DEFAULT_LIMIT, MAX_LIMIT

DEPTH = 12
ALIASES = 50
TOKENS = 3_000
# Fields of an answer, about: the largest page of tasks with creator, performer and observers fits.
COST = 20_000
LISTS = frozenset({"observers", "users", "tasks", "notifications", "letters", "history"})
_LIST_GUESS = 10


class CostLimiter(SchemaExtension):
    """Refuses an operation whose answer would have too many fields.

    A field costs one; what stands below a page is counted as often as the page is long (`first`).
    """

    def on_validate(self) -> Iterator[None]:
        """Count before the document is checked: errors that come later are not looked at any more."""
        context = self.execution_context
        if context.graphql_document is not None:
            cost = _Costs(context.graphql_document, context.variables or {}).of(context.operation_name)
            if cost > COST:
                told = f"The operation asks for {cost} fields, more than {COST}: ask for shorter pages or fewer fields."
                context.pre_execution_errors = [GraphQLError(told, extensions={"code": "too_costly"})]
        yield


class _Costs:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._document = document
        self._variables = variables
        parts = document.definitions
        self._fragments = {part.name.value: part for part in parts if isinstance(part, FragmentDefinitionNode)}
        self._known: dict[str, int] = {}

    def of(self, name: str | None) -> int:
        """The cost of the operation that is to run: the named one, or the costliest."""
        operations = [part for part in self._document.definitions if isinstance(part, OperationDefinitionNode)]
        wanted = [one for one in operations if name is None or (one.name and one.name.value == name)]
        return max((self._selection(one.selection_set) for one in wanted), default=0)

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
        return cost

    def _fragment(self, name: str) -> int:
        # Counted once, however often it is spread; a document with a cycle or a hole is refused right after.
        if name not in self._known:
            self._known[name] = 0
            fragment = self._fragments.get(name)
            self._known[name] = self._selection(fragment.selection_set) if fragment else 0
        return self._known[name]

    def _times(self, field: FieldNode) -> int:
        for argument in field.arguments or ():
            if argument.name.value == "first":
                value = argument.value
                number = self._variables.get(value.name.value) if isinstance(value, VariableNode) else None
                if isinstance(value, IntValueNode):
                    number = int(value.value)
                return min(number, MAX_LIMIT) if isinstance(number, int) and number > 0 else DEFAULT_LIMIT
        if field.name.value in LISTS and field.selection_set is not None:
            return _LIST_GUESS if field.name.value == "observers" else DEFAULT_LIMIT
        return 1
