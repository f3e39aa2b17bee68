"""Where key-encryption keys live; `base` says what every key ring promises."""
