"""What every part agrees on: tables, configuration, specs, errors. Imports neither Spark nor torch."""
