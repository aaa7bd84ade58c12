"""A company's tables in: mapped to the contract, checked row by row, prices put into words."""
