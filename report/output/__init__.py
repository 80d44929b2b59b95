"""Writing what readers open: the page, the published study, and parts of the README."""
