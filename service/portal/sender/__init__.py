"""Pages for clerks of an organisation: send a letter, follow it, keep the proof."""
