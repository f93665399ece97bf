"""What a verification finds wrong."""

from enum import StrEnum

from msgspec import Struct, field

# Findings of one kind that are listed; all are counted.
LISTED = 100


class Fault(StrEnum):
    """How something can be wrong."""

    MISSING = "missing"
    DOUBLED = "doubled"
    DISORDERED = "disordered"
    DAMAGED = "damaged"


class Finding(Struct, frozen=True):
    """One thing that is wrong: `subject` names it, as `task 12` or `user 3`."""

    fault: Fault
    subject: str
    detail: str


class Findings(Struct, kw_only=True):
    """What was looked at, what still is on its way, and what is wrong."""

    tasks: int = 0
    events: int = 0
    notifications: int = 0
    waiting: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    def add(self, fault: Fault, subject: str, detail: str) -> None:
        """Note a fault."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if self.faults[fault] <= LISTED:
            self.found.append(Finding(fault, subject, detail))

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults
