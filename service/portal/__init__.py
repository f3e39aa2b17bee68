"""Pages for people: clerks who send, citizens who receive, and everybody who wants to know what this is."""
