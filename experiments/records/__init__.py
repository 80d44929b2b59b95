"""Records: run folders, tables and their schema."""
