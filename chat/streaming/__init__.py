"""Answers as streams of bytes: one reader, one encoder for each protocol, and the responses that carry them.

Public: `reader.follow` and `reader.read_events` (the events of an answer, wherever they are), `encoders.encoder_for`,
`responses.encode_stream` and `responses.streaming_response`, `error_responses` (errors before a stream),
`presenter.article` (a message as the page shows it). May import: answers and what is below; encoders are pure.
"""
