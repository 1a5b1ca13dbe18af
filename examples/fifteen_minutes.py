"""From a DataFrame to neighbours, traits, a picture, an evaluation and a report: python fifteen_minutes.py [FOLDER]"""

import sys

import pandas as pd

import traitcore as tc

folder = sys.argv[1] if len(sys.argv) > 1 else "."

# Your own frame goes here: a row for each event, with columns for customer, time, action, product, and its text.
frame = pd.DataFrame(tc.simulate_events(n_users=150, n_items=60, n_traits=4, seed=0).log.to_columns())
fitted = tc.fit(frame, item_text="item_text", n_traits=4, epochs=5)
print(fitted)                                             # what there is, and what of the log was left out

item = frame["item_id"].mode()[0]
print(fitted.similar(item, k=3))                          # neighbours, also by words of a text
print(fitted.traits)                                      # a row each; .to_frame() for pandas or polars
print(fitted.recommend(fitted.customers["customer"][0], k=3))    # with the reason for each

tc.plot_traits(fitted.shop.tables.described, f"{folder}/traits.png")
print(fitted.evaluate(checks=("coherence",), n_splits=1))
fitted.report(f"{folder}/report.html")                    # one file that opens anywhere
fitted.publish(f"{folder}/store")                         # versions, guardrails; tc.open_shop asks them again
