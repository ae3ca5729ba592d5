"""Following packets hop by hop: where they have to pass, where they were seen, where they were lost."""
