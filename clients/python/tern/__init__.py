"""Client of Tern, the inference server for ternary weight networks.

    from tern import Client

    client = Client("localhost:8500")
    print(client.classify("shoe.png").label)
"""

from tern._aio import AsyncClient
from tern._client import Client
from tern._types import (ClassScore, ModelDetails, ModelStatus, Result,
                         TernError, Uploaded)

__all__ = ["AsyncClient", "ClassScore", "Client", "ModelDetails",
           "ModelStatus", "Result", "TernError", "Uploaded"]
__version__ = "0.1.0"
