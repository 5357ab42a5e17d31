"""Stand-in messaging systems and the tools around them, for the demo and the system tests.

Nothing here is part of the product and nothing here shares code with it: real servers (Dovecot, imap4d) in private
directories, made-up voicemail, a proxy that delays and cuts, and the comparer that judges the product.
"""
