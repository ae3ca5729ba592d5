"""The faults, one module per layer. A fault's id, and with it its code, is for ever; its wording is not."""
