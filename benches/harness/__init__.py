"""The side-by-side benchmarks of the gateway: what `benches/compare` is made of.

- `stage`: processes, ports and the temporary folder, and that all of them are gone at the end
- `accounts`: what the kernel says a process has used
- `load`: the load generators and what they print
- `upstream`: the service behind the proxies
- `peers`: one file for each proxy
- `scenarios`: one file for each thing that is measured
- `report`: tables, ratios and the last line
"""
