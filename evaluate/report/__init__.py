"""One HTML page of everything that was measured, and its figures as files: predictions -> sections -> page."""
