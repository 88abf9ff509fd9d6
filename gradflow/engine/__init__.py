"""The engine: every dC(t)/dW(t−u) of one recurrent layer.

Every term is an outer product, dC(t)/dW_hh(s) = δ_h(t,s) h(s−1)ᵀ and dC(t)/dW_ih(s) = δ_x(t,s) x(s)ᵀ, so its norm is
a product of two norms and no matrix of derivatives is ever built. No term underflows or overflows, and everything
leaves here as a logarithm.

Read in this order: `scaling` (powers of two, and logarithms), `forward` (the forward pass and its Jacobians),
`backward` (all δ, one step back after another), `unscaled` (the same in plain arithmetic), `schedule` (blocks of t,
and who computes them), `reference` (the sum by `jax.grad`), `device`, `compile_cache` (what outlives the process).
"""
