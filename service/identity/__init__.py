"""Who is there: log-in of people by OpenID Connect, OAuth 2 clients of agencies, and our own access tokens.

Nothing here reads a row, a clock or a setting: values, time and transports are handed in, values come back.
"""
