"""Did it transfer: statistics, audits, held-out tests, the report.

Import from the submodules (`evidence.stats`, `evidence.audits`, `evidence.held_out`,
`evidence.page`): the statistics sit below `frontier` and the audits above it, so this file imports
neither.
"""
