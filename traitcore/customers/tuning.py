"""Constants of the trait recipes and of the traits' names: what each is, and what was compared.

`benchmarks/versus.py traits` judges on five real logs and seven simulated shops; docs/traits.md has the figures that
were measured. Whatever was compared was compared on some of these twelve: none of them is evidence of a log never seen.
"No range" means that no neighbouring values were recorded.
"""

from __future__ import annotations

# --- The default recipe ---

# Customers with fewer different tokens than this, on average, have short histories: pairs of tokens are factored, not
# rows. 16 to 37 decide alike on all twelve logs, which have 7 to 15 or 38 and more.
SHORT_HISTORY = 20.0
# Customers with fewer different tokens don't shape the traits where rows are factored; they are read like all. A row of
# one or two tokens is as long as any other, and a few such customers bend the factors towards single tokens. Of 1,703
# buyers of RetailRocket (tokens seen 5 times) lists by traits held 384 of the held-out purchases with 1, 393 with 2,
# 490 with 3, 498 with 5, 508 with 8, summed over 8, 16, 24 and 32 traits; of 1,974 (3 times) 447, 532, 568, 553, 543.
# Checked on Online Retail, Complete Journey and simulated shops.
SHAPING_TOKENS = 3
# Loadings are raised to this power, so that more tokens decide who has a trait: steadier where events are noisy, a
# little less coherent where they are not. 1 and .5: see docs/traits.md.
LOADING_POWER = 0.85
# PPMI of a pair that n customers have is multiplied by n / (n + PAIR_DISCOUNT). With 0 and 5 planted traits are the
# same to .003; real baskets are steadier with it.
PAIR_DISCOUNT = 5.0
# Pairs are counted over histories of at most so many times the mean. Not measured; no range.
LONGEST_HISTORY = 10.0
# For speed only: customers' rows that are factored, at most, and pairs that are counted, at most. A random sample
# stands for the others.
MAX_FIT_ROWS = 100_000
MAX_PAIRS = 50_000_000

# --- Start of a factorization ---

# Relative residual of the start's singular vectors: rougher ones make the traits differ from seed to seed. No range.
START_TOL = 1e-3
# Entries of these vectors below this fraction of the vector's largest are taken as zero: a zero's rounding errors. No
# range.
START_ROUNDING = 1e-5
# Columns of the search for them, at most: START_COLUMNS plus START_COLUMNS_PER_COMPONENT for each component. The shops
# need 192 of the 512 that 16 traits allow; noise, whose singular values are all alike, would need thousands.
START_COLUMNS, START_COLUMNS_PER_COMPONENT = 128, 24

# --- Rates and names ---

# A token last seen k sessions ago counts RATE_DECAY ** k in a trait's rates. Retail: recall@20 .084 with 1, .093 with
# .5; rates from the last session alone lose on RetailRocket (.040).
RATE_DECAY = 0.5
# A token gives this share of its count to its item's other tokens in the rates: who viewed an item may buy it. Not
# measured; no range.
RATE_TIE = 0.5
# Weights are raised to this power before lifts are taken: otherwise a few customers whose short history one trait
# explains whole would name it. Coherence of names is the same to .005 from .3 to .75 and falls above; on which logs was
# not recorded.
LIFT_POWER = 0.5
# Average customers added to each token's. Shops: smoothing of 20 to 50 was the most robust.
LIFT_SMOOTHING = 20.0
# Customers a naming token needs: sqrt(customers / LIFT_OF_PAIRS), for the reason that `least_customers` gives; at least
# LIFT_MIN_DF. Tokens of a trait typically meet a few times as often as by chance; 4 and 5 were not measured.
LIFT_OF_PAIRS, LIFT_MIN_DF = 4.0, 5
# No token of a trait this much more common among its customers: the trait is background. Not measured; no range.
BACKGROUND_LIFT = 1.25
# A category names a trait from this share of the trait's events and this lift on. Not measured; no range.
CATEGORY_MIN_SHARE, CATEGORY_MIN_LIFT = 0.05, 1.3
# Lifts of actions from which on a name says how a trait's customers act. Not measured; no range.
SELDOM_BUYS_BELOW, BUYS_READILY_ABOVE, PUTS_BACK_ABOVE = 0.7, 1.4, 1.5
