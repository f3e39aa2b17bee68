"""Print houses, as far as handing over to them differs."""
