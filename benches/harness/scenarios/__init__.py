"""What is measured: one file for each scenario. A scenario is `run(scene, upstream, report,
arguments)`: it starts what it needs, prints its table, and gives its figures to the report."""

from . import hits, hops, http2, idle, observed, open_loop, proxying, start, streams, workers

# In the order in which they run. `plain` and `chain` are one run, so that their rounds interleave.
EVERY = {
    "plain": proxying.run,
    "chain": proxying.run,
    "observed": observed.run,
    "hits": hits.run,
    "hops": hops.run,
    "h2": http2.run,
    "open": open_loop.run,
    "workers": workers.run,
    "idle": idle.run,
    "streams": streams.run,
    "start": start.run,
}
