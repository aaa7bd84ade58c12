"""Two jobs at once on one warehouse, as processes of their own: what each says, and what stands in the tables after."""
