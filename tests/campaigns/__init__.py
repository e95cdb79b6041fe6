"""Long tests, each a program: `make campaign` runs them all; the tests run a short slice of each."""
