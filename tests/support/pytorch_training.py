"""The same training by PyTorch."""

import os

import numpy as np
import pytest


def pytorch():
    """PyTorch with one thread; where it is not installed, the test is skipped."""
    torch = __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")
    torch.set_num_threads(1)  # what is this small is done sooner by one
    return torch


def torch_losses(torch, network, batches):
    """nn.LSTM and Adam of PyTorch, from these weights and on these batches [S][B, k+1, m]: the loss of each step."""
    n, m = network.weights.weight_hh.shape[-1], network.weights.weight_ih.shape[-1]
    layer = torch.nn.LSTM(m, n, batch_first=True)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    tensors = [torch.tensor(np.array(field, np.float32)) for field in network.weights]
    layer.load_state_dict(dict(zip(names, tensors, strict=True)))
    readout = torch.nn.Parameter(torch.tensor(np.array(network.readout, np.float32)))
    adam, losses = torch.optim.Adam([*layer.parameters(), readout], lr=0.01), []
    for batch in batches:
        inputs = torch.tensor(np.array(batch, np.float32))
        loss = ((layer(inputs)[0][:, -1] @ readout - inputs[:, 0, 0]) ** 2 / 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses
