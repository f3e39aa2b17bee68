"""What both doors share: problem documents, guards, request ids and security headers, sessions."""
