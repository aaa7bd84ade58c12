"""Speed of encoding, training and whole nights, compared with the usual recipes and with what the machine allows."""

import ulvspark  # noqa: F401 - before torch is imported: it sets how OpenMP's threads wait
