"""`python -m tests.engine.toy_operator`: the real operator, with the toy instead of the real
kinds.
"""

from __future__ import annotations

import asyncio

from modelyard.compose import operate
from modelyard.engine import logs
from modelyard.settings import Settings
from tests.engine.toy import Toys

if __name__ == "__main__":
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(operate(settings, [Toys().controller()]))
