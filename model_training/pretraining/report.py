"""What a pre-training reports: ``pretraining.json``."""

from dataclasses import dataclass

REPORT = "pretraining.json"


@dataclass(frozen=True)
class PretrainReport:
    """``pretraining.json`` in the new base: mean loss of a guessed token on texts of held-out users."""

    method: str
    base: str
    texts: int
    held_out_texts: int
    loss_before: float
    loss_after: float
    perplexity_before: float
    perplexity_after: float
    new_head: bool
    """Whether the head that guesses tokens began with random weights; then the loss before is that of a beginner."""
    minutes: float

    def sentence(self) -> str:
        """For the terminal."""
        began = " (with a new, untrained head)" if self.new_head else ""
        return (
            f"{self.method} on {self.texts:,} texts: held-out loss {self.loss_before:.3f}{began} -> "
            f"{self.loss_after:.3f}, perplexity {self.perplexity_before:.1f} -> {self.perplexity_after:.1f}, "
            f"{self.minutes:.1f} min"
        )
