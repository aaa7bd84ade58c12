"""How fast the parts are, beside what one would otherwise write and what the machine allows."""

import ulvspark  # noqa: F401 - before torch is imported: it sets how OpenMP's threads wait
