"""The course's exercises that check themselves, and what `genlab check` does with an answer."""
