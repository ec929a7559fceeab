"""Inner TLS in the hands of the node: RFC 8446 by hand, to show any chain and to sign with any key.

No library would: they refuse to present what they would refuse to accept. Nothing is verified here: an
impostor goes on, whatever it is shown.
"""
