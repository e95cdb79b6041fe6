"""One step of training, layer by layer: what each line of code makes, and what came back."""

__all__: list[str] = []
