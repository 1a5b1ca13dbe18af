"""The errors of the house, and the one form of sentence they speak."""

from __future__ import annotations


class NotFittedError(ValueError, AttributeError):
    """A method that needs learned state was called before `fit`."""


class TableError(ValueError):
    """A published table, index or store is damaged, missing, or not what the caller asked for."""


class InputError(ValueError):
    """An event log can't be read: the message names the file, the column and the line."""


class MissingColumnError(InputError):
    """A log has no column for a role. `problem` says which; the message adds what a caller in Python may do."""

    def __init__(self, role: str, problem: str) -> None:
        super().__init__(role, problem)
        self.role, self.problem = role, problem

    def __str__(self) -> str:
        advice = f"{self.role}='NAME' names another one"
        if self.role != "item":
            advice += f"; {self.role}=None says that there is none"
        if self.role == "action":
            advice += "; action=None, action_value='buy' that every event is a buy"
        return f"{self.problem} {advice}."


def parameter_message(name: str, owner: str, rule: str, got: object) -> str:
    """The house sentence, e.g. "The 'window' parameter of Item2Vec must be an int in [1, inf). Got 0 instead."."""
    shown = repr(got)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return f"The '{name}' parameter of {owner} must be {rule}. Got {shown} instead."
