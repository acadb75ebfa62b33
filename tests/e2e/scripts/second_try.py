"""Fails at the first attempt, and not at the second."""

import os
import sys

if os.environ["MODELYARD_ATTEMPT"] == "1":
    sys.exit("the first attempt always fails")
