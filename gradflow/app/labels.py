"""What each control is called, and in one sentence what it changes."""

LABELS = {  # field -> (label, one sentence)
    "forget": (
        "Forget gate",
        "1 keeps the cell state, 0 wipes it: the factor per step on the cell path; "
        "learned, 0.73 is a bias of 1, as in Keras (Jozefowicz 2015), where PyTorch adds none.",
    ),
    "input": ("Input gate", "How much of the new input is taken in: 0 ignores it, 1 writes all of it."),
    "output": ("Output gate", "How much of the cell state is let out: 0 hides it, 1 shows all of it."),
    "reset": ("Reset gate", "How much of the old state the new one may see: 0 starts afresh."),
    "update": (
        "Keep",
        "1 keeps the old state, 0 replaces it by the new one: PyTorch's update gate; the minGRU paper's z is 1 − keep.",
    ),
    "gain": (
        "Recurrent gain",
        "Scale of the recurrent weights. With Shift, drags and arrow keys go in steps of 0.001; or type the number.",
    ),
    "horizon": ("Horizon", "How many steps the network runs: how many times the one weight is used."),
    "input_gain": (
        "Input gain",
        "Scale of the input weights; strong inputs saturate the units. With Shift, arrow keys go in steps of 0.002; or "
        "type the number.",
    ),
    "write_every": ("Write every … steps", "The write gate opens once in so many steps; 1 leaves it alone."),
    "time": ("Time t", "The step whose cost is looked at; beyond the horizon it means the last step."),
    "preset": ("Preset", "A starting point; it reads Custom as soon as something moves."),
    "cell": ("Cell", "What one step computes."),
    "gates": (
        "Gates",
        "Pinned: a gate is the value below; where that reads as initialised, the network decides. Learned: it rests "
        "there and moves with the input.",
    ),
    "init": (
        "Initialisation",
        "normal: N(0, 1/n) a gate; orthogonal, identity: one such matrix a gate; pytorch, keras: the frameworks' "
        "defaults (Keras starts the forget gate at bias 1); chrono: biases spread for memories up to 256 steps; "
        "shift: a delay line.",
    ),
    "hidden": ("Hidden units", "The size of the state."),
    "sequence": ("Sequence", "What the network reads, and what it should say."),
    "text": ("Sentence", "Its letters are the inputs; Enter takes it over."),
    "weight": ("Weight", "Whose gradient is shown; all means the four together."),
    "gate": ("Gate rows", "The rows of the weight that belong to one gate."),
    "seed": ("Seed", "Another draw of weights and inputs."),
    "closer": ("Look closer", "Opens the tools: other charts, comparing, switches, and what you can take away."),
    "show": ("Chart", "What is drawn of the same numbers."),
    "whole": ("Whole matrix", "Shows the sizes of the terms of all weights together instead of one signed weight."),
    "row": ("Row", "Which row of the weight: a unit of one of the gates."),
    "col": ("Column", "Which column of the weight: the unit or input it listens to."),
    "lag": ("Lag u", "The lag that is lit, in all charts; beyond t it means the first step."),
    "relative": ("Divide by ‖dC/dh‖", "What the network does, apart from how wrong it happens to be at this time."),
    "cell_path_only": (
        "Cell path only",
        "LSTM: lets no gradient back through h into gates and new content; the cell state alone carries it.",
    ),
    "float32": ("As float32 sees it", "What plain float32 would report: zeros and NaN where it gives up."),
    "chains": ("Other chains", "Draws two chains that are often taken for this one: of the state, and of the input."),
    "stage": (
        "On stage",
        "Larger letters, and no more than is shown to a class; Page Down and Page Up change the preset, or the lesson.",
    ),
}
