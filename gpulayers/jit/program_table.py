"""What stands where in the table of a program: see `program.py`."""

# What a move does, in the first column of the table.
SAME, ENTER, LEAVE, COPY, PRODUCT, CHANNELS, FEW_ROWS, MAP, SUM, LARGEST, MEAN = range(11)
SIGMOID, TANH, SILU, SOFTMAX, ELU, LEAKY, GELU, NORMAL = range(11, 19)
STRIPS, SIMPLE, LSTM, GRU, GRU_BEFORE = range(19, 24)
# The other columns.
FROM, TO = 1, 2  # Where what it reads and what it writes begin.
COUNT, WIDTH, DEPTH = 3, 4, 5  # Places, numbers at each, and products of a sum.
ROWS, PLACES, COLUMNS = 6, 7, 8  # Tables: of places in FROM and in TO, and of what a window sees.
FIRST, SECOND, STEP = 9, 10, 11  # Constants by their addresses; from row to row in FIRST.
ROOM = 12  # Where memory for what it has on the way begins.
FIELDS = 13
TALL, LANES = 0, 1  # At the beginning of `edges`: rows of a tile with one vector, and its numbers.
