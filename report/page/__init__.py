"""The page: sections, summary and the file that joins them."""
