"""get_params / set_params / repr for the estimators: scikit-learn's duck type without depending on it."""

from __future__ import annotations

import inspect
from typing import Any, Self

from ._errors import not_fitted
from ._looks import html_facts


class ParamsMixin:
    """Base of every estimator.

    A subclass's `__init__` takes keyword parameters and stores each under its own name; it neither trains
    nor validates. Attributes learned by `fit` end in an underscore.
    """

    @classmethod
    def _param_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name. `deep` is accepted for scikit-learn's `clone`; nothing here nests."""
        return {name: getattr(self, name) for name in self._param_names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name and return self; an unknown name is a ValueError that lists the known ones."""
        known = self._param_names()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}. It has {', '.join(known)}.")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if not _same(value, defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _repr_html_(self) -> str:
        fitted = any(name.endswith("_") and not name.startswith("_") for name in vars(self))
        return html_facts(f"{type(self).__name__} ({'fitted' if fitted else 'not fitted'})", self.get_params())

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn (1.6 and later) asks of an estimator; only it calls this, so it is there to import."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]) if hasattr(self, "transform") else None,
            input_tags=InputTags(two_d_array=False),
        )

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise not_fitted(f"This {type(self).__name__} is not fitted yet. Call 'fit' before this method.")


def _same(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
