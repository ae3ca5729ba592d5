"""Which paths a suite measures, and what each of them promises. Pure: roles and positions in, path cases out."""
