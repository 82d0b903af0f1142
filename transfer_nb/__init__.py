"""Five papers on learning from a labelled and an unlabelled set. `import transfer_nb` alone imports nothing."""

from typing import Any

__version__ = "0.1.0"


def load(path: Any, **options: Any) -> Any:
    "The model that `Model.save` wrote; see `transfer_nb.models.load_model`."
    from transfer_nb.models import load_model

    return load_model(path, **options)
