"""What a report shows of a run's history, and the forms that it is told in: one page of HTML, a trace, spans.

Everything here comes from a ledger and is hostile text: it is cut to a length here and escaped where it is written.
"""
