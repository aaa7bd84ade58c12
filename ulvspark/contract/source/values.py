"""What a source's YAML says about values: words for "missing", the form of ids, and what single values mean."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ulvspark.contract.config import Strict
from ulvspark.contract.schema import EVENT_TYPES

MISSING_WORDS = (
    "null", "(null)", "none", "nil", "nan", "n/a", "#n/a", "<na>", "undefined", "(not set)", r"\N",
)  # fmt: skip
"""What databases, Python, JavaScript, spreadsheets and web analytics write where there is no value."""


class IdForm(Strict):
    """How ids are brought into one form, beyond what is always done (trimming, ``12345.0`` as ``12345``)."""

    case: Literal["as_is", "lower", "upper"] = "as_is"
    unicode: Literal["as_is", "NFC", "NFKC"] = "as_is"
    """The normal form of Unicode: NFC composes accents, NFKC also makes full-width digits and the like plain ones."""


def _as_text(given: Any) -> Any:  # noqa: ANN401 - YAML holds anything
    """YAML reads 1 and true as a number and a truth value; in Spark's text they are '1' and 'true'."""
    if isinstance(given, bool):
        return str(given).lower()
    return str(given) if isinstance(given, int | float | date) else given


Text = Annotated[str, BeforeValidator(_as_text)]
Values = dict[str, dict[Text, Text | None]]
"""Column of the contract -> value of the source -> value of the contract, or null for none."""


class WithValues(Strict):
    """A mapping's ``columns``, and what single values of them stand for."""

    columns: dict[str, str]
    values: Values = Field(default_factory=dict)

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if unmapped := [name for name in self.values if name not in self.columns]:
            raise ValueError(f"values: column {', '.join(unmapped)} is not in columns; map it there first")
        types = {wanted for wanted in self.values.get("event_type", {}).values() if wanted is not None}
        if unknown := sorted(types - set(EVENT_TYPES)):
            raise ValueError(f"values.event_type: {', '.join(unknown)} is no event type; use {', '.join(EVENT_TYPES)}")
        return self
