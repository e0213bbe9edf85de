"""The course's exercises that check themselves, and what `genlab check` does with an answer."""

SECONDS = 20.0
"""Time limit of one exercise."""
