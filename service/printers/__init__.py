"""The print houses that letters go to: what is said of each in a file, and what a process makes of it."""
