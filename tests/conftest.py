"""Settings of all tests."""

import torch

torch.set_num_threads(1)  # small tensors: threads would only wait for each other
