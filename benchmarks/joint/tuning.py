"""Constants of the joint recipe, as they were while it was the default.

"The shops" are Online Retail and RetailRocket buyers; "simulated" are shops of `simulate_events`.
"""

from __future__ import annotations

# --- Views of the joint recipe ---

# Weight of the session windows against the customers' rows: the default, and the rival where windows help little.
# Shops: 3.5 gives Retail NPMI .473 and bootstrap stability .931; 3 and 4 lose (NPMI .470 or bootstrap .90). Rival: no
# range.
WINDOWS_WEIGHTS = (3.5, 1.0)
# The density's PPMI weight is DENSITY * n_tokens / (n_customers * customers per token): 10 on the shops, no range. A
# fixed weight does not serve both: an earlier one had to be 3 on sparse RetailRocket and .02 on dense Retail.
DENSITY = 10.0
# PPMI weight for histories too short to show which tokens belong together; those rows then shape the traits nearly
# alone, as on simulated shops of one session per customer. No range.
HIGH_PPMI_WEIGHT = 30.0
# HIGH_PPMI_WEIGHT is a rival only where the density's weight is below this fraction of it. No range.
HIGH_PPMI_RIVAL_BELOW = 0.3
# A customer's row has length (number of different tokens) ** HISTORY_POWER: long histories say more, but in proportion
# a few of them would be the traits. Windows, of similar length, count in proportion. Shops: .1 at first, then .15.
HISTORY_POWER = 0.15
# A token's PPMI row has length (customers with the token) ** PPMI_DF_POWER, as rare tokens' rows are mostly chance.
# Shops: from .25 to .45 one shop gains and the other loses.
PPMI_DF_POWER = 0.5
# PPMI of a pair seen n times is multiplied by n / (n + PAIR_DISCOUNT). Shops: with 1, one gains and the other loses.
PAIR_DISCOUNT = 5.0
# Customers and windows that shape the loadings, at most: a random sample stands for more of them. Simulated shop of
# 400,000 customers: 16 traits hardly change with more rows; PPMI rows must stay whole (planted .50 instead of .68).
MAX_FIT_ROWS = 100_000

# --- Loadings of the joint recipe ---

# Powers to which loadings may be raised, the default first. Simulated: where events are noisy .5 instead of .85 lifts
# the recovery from .935 to .966; .3 and .35 were tried and rejected.
LOADING_POWERS = (0.85, 0.7, 0.5)
# Share of the final loadings estimated from customers' own counts; the rest comes from the joint fit. Shops: .2 at
# first, then .5; no range.
OWN_SHARE = 0.5
# Components fitted beyond those wanted, as a share: duplicates among them are recognised and merged. No range.
EXTRA_COMPONENTS = 0.25
# Use the SVD start only if its split-half reliability is higher by this fraction. Shops: with 0, Retail NPMI .469
# instead of .473.
START_GAIN = 0.05
# Customers, picked at random, on whom the two starts are compared, at most. For speed only; no range.
MAX_VALIDATION_CUSTOMERS = 20_000

# --- Choice of the blend ---

# Inner halvings of the customers, each judged both ways. Two at first, then three; no range.
N_INNER_SPLITS = 3
# Customers who take part: at most so many, or as many as have so many events. For speed; no range.
MAX_CHOICE_CUSTOMERS = 4000
MAX_CHOICE_EVENTS = 60_000
# Tokens that take part, the most common: a sample of customers has each of a large range's tokens too seldom. Simulated
# shop of 60,000 items: recovery .38 with all tokens, .68 with 5,000.
MAX_CHOICE_TOKENS = 5000
# A rival must be more reliable than the default by this fraction and by so many standard errors. Without these the
# best of noisy splits changed with each refit. No range.
CLEAR_GAIN = 0.03
CLEAR_ERRORS = 2.0
# Stopping of the inner fits, where the model's own is not looser. For speed; no range.
CHOICE_MAX_ITER = 80
CHOICE_TOL = 1e-3

# --- What users could set ---

# Share of a token's count that its item's other tokens get; events in a window; how far apart tokens of a pair may lie.
TIE, WINDOW, PPMI_WINDOW = 0.5, 10, 5
