"""Makes the synthetic company's files (`generate`) and lands files in the warehouse (`land`)."""
