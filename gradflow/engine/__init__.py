"""The engine: every dC(t)/dW(t−u) of one recurrent layer. Its README.md has the equations and the reading order."""
