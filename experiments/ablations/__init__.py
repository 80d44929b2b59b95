"""The ablations, one per file: adding a file adds an ablation. No file imports torch.

Files of the folder in the environment variable ABLATIONS are ablations too.
"""

import os

if os.environ.get("ABLATIONS"):
    __path__ = [*__path__, os.environ["ABLATIONS"]]
