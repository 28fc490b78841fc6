"""What a person reads of an evaluation: one page, its tables and pictures, checklists for authors, and a text of the methods."""
