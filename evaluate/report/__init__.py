"""The report: predictions files -> sections -> one HTML page, and figures as files."""
