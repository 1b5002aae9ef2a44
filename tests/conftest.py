"""What every test stands on: no settings and no language of whoever runs it."""

import os

for name in [name for name in os.environ if name.startswith("HEXI_")]:
    del os.environ[name]
os.environ |= {"NO_COLOR": "1", "COLUMNS": "120"}
