"""The works that lessons draw on."""

BENGIO = "Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult"
HOCHREITER = "Hochreiter & Schmidhuber 1997, Long short-term memory"
GERS = "Gers, Schmidhuber & Cummins 2000, Learning to forget"
PASCANU = "Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks"
SAXE = "Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning"
WERBOS = "Werbos 1990, Backpropagation through time: what it does and how to do it"
HOCHREITER_91 = "Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen"
JOZEFOWICZ = "Jozefowicz, Zaremba & Sutskever 2015, An empirical exploration of recurrent network architectures"
TALLEC = "Tallec & Ollivier 2018, Can recurrent neural networks warp time?"
CHO = "Cho et al. 2014, Learning phrase representations using RNN encoder–decoder"
DU = "Du, Hu & Lee 2018, Algorithmic regularization in learning deep homogeneous models"
ZUCCHET = (
    "Zucchet & Orvieto 2024, Recurrent neural networks: vanishing and exploding gradients are not the end of the story"
)
ORVIETO = "Orvieto et al. 2023, Resurrecting recurrent neural networks for long sequences"
HE = "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers"
METZ = "Metz, Freeman, Schoenholz & Kachman 2021, Gradients are not all you need (arXiv 2111.05803)"
