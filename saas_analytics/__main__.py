"""`python -m saas_analytics` is the command `analytics` of the checkout at hand."""

import sys

from saas_analytics.cli import main

if __name__ == "__main__":
    sys.exit(main())
