"""PDFs looked at in a walled-in child process before they are accepted.

`inspector.Inspector.inspect` is the way in. The parts: `inspector` (the service's side), `helper` (the process that
forks one child per document), `sandbox` and `seccomp` (the walls around a child), `examine` (what a child does:
`opening`, `active`, `attachments`, `bombs`, `readability`), `findings` (what it may say), `codes` (the words for it),
`limits`, `scanners` (malware). `validator.Validator.validate` judges signatures behind the same walls (`validating` is
what a child does then); `readers` and `forking` are what both share. Nothing is imported here: the helpers load this
package too, and only what they need.
"""
