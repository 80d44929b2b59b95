"""Content of the page: claims, tables and sentences, computed from the tables of a study."""
